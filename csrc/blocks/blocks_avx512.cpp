#include <utility>

#include "blocks/activations_lanes.h"
#include "blocks/kinds.h"
#include "blocks/span_avx512.h"

namespace moonlet::avx512 {
namespace {

constexpr int kMaxTokens = 4;

// One row in memory times NT tokens.
template <FormatKind kind, int NT>
void multiply_row(const WeightSpan* weights, int64_t spans, const ActivationSpan* const* records, float* y,
                  int64_t y_stride) {
    __m512 acc[NT];
    for (int t = 0; t < NT; ++t) acc[t] = _mm512_setzero_ps();
    for (int64_t s = 0; s < spans; ++s) {
        using Reader = FromMemory<kind>;
        const Span w = Reader::read(weights[s]);
        for (int t = 0; t < NT; ++t) acc[t] = multiply_span<kind, Reader::zero_shift>(w, records[t][s], acc[t]);
    }
    for (int t = 0; t < NT; ++t) y[t * y_stride] = sum_phases(acc[t]);
}

template <int idx>
void dot_task(const BlockTask& task) {
    const BlockFormat& format = block_formats[idx];
    const int64_t spans = num_spans(task.num_inputs);
    auto* weights = reinterpret_cast<WeightSpan*>(task.scratch);
    with_kind(format.kind, [&]<FormatKind kind>() {
        for (int64_t r = 0; r < task.num_rows; ++r) {
            expand_row(format, task.rows + r * format.row_bytes(task.num_inputs), task.num_inputs, weights);
            float* y = task.y + r;
            int64_t t = 0;
            for (; t + kMaxTokens <= task.num_tokens; t += kMaxTokens) {
                multiply_row<kind, kMaxTokens>(weights, spans, task.records + t, y + t * task.y_stride, task.y_stride);
            }
            for (; t < task.num_tokens; ++t) {
                multiply_row<kind, 1>(weights, spans, task.records + t, y + t * task.y_stride, task.y_stride);
            }
        }
    });
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

}  // namespace moonlet::avx512
