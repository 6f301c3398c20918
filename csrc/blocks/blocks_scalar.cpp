#include <cmath>
#include <utility>

#include "blocks/activations_lanes.h"
#include "blocks/kinds.h"

namespace moonlet::scalar {
namespace {

int32_t dot_half(const int8_t* codes, const int8_t* a) {
    int32_t sum = 0;
    for (int i = 0; i < 16; ++i) sum += codes[i] * a[i];
    return sum;
}

void multiply_span(const FormatKind& kind, const WeightSpan& w, const ActivationSpan& a, float (&acc)[kSpanGroups]) {
    for (int64_t g = 0; g < kSpanGroups; ++g) {
        const int lane = group_lane(g);
        int32_t gsum = 0, negated_msum = 0;
        for (int h = 0; h < 2; ++h) {
            const int64_t at = span_position(32 * g + 16 * h);
            gsum += w.scales[h][lane] * dot_half(w.codes + at, a.codes + at);
            negated_msum += w.minimums[h][lane] * a.negated_half_sums[h][lane];
        }
        acc[lane] = std::fma(static_cast<float>(gsum), w.d[lane] * a.scales[lane], acc[lane]);
        if (!kind.minimums) continue;
        acc[lane] = std::fma(static_cast<float>(negated_msum), w.dmin[lane] * a.scales[lane], acc[lane]);
    }
}

// Phase 4b + p lies at lane 4p + b: first over p, then over b.
float sum_phases(const float (&acc)[kSpanGroups]) {
    float sums[4];
    for (int b = 0; b < 4; ++b) sums[b] = (acc[b] + acc[8 + b]) + (acc[4 + b] + acc[12 + b]);
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

template <int idx>
void dot_task(const BlockTask& task) {
    const BlockFormat& format = block_formats[idx];
    const int64_t spans = num_spans(task.num_inputs);
    auto* weights = reinterpret_cast<WeightSpan*>(task.scratch);
    for (int64_t r = 0; r < task.num_rows; ++r) {
        const uint8_t* row = task.rows + r * format.row_bytes(task.num_inputs);
        expand_row(format, row, task.num_inputs, weights);
        for (int64_t t = 0; t < task.num_tokens; ++t) {
            float acc[kSpanGroups] = {};
            for (int64_t s = 0; s < spans; ++s) multiply_span(format.kind, weights[s], task.records[t][s], acc);
            task.y[t * task.y_stride + r] = sum_phases(acc);
        }
    }
}

template <int... idx>
constexpr BlockOps make_ops(std::integer_sequence<int, idx...>) {
    return {{dot_task<idx>...}, quantize, silu_mul};
}

}  // namespace

const BlockOps* block_ops() {
    static constexpr BlockOps ops = make_ops(std::make_integer_sequence<int, kNumBlockFormats>{});
    return &ops;
}

}  // namespace moonlet::scalar
