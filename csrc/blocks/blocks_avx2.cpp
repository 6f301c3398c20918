#include <utility>

#include "blocks/activations_lanes.h"
#include "blocks/kinds.h"

// Rows are expanded one at a time into the L1 cache and multiplied by every token from there.

namespace moonlet::avx2 {
namespace {

__m256i load256(const void* source) { return _mm256_loadu_si256(static_cast<const __m256i*>(source)); }

// 32 products in eight sums of four. maddubs wants one unsigned side: |code| * (a * sign of code) is the same product,
// and two of them, at most 2 * 128 * 127, fit 16 bits.
__m256i dot(const int8_t* codes, const int8_t* a) {
    const __m256i w = load256(codes);
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(load256(a), w));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// Four vectors of [2 groups][4 parts] into [group][vector].
__m256i sum_parts(const __m256i (&v)[4]) {
    const __m256i v01 = _mm256_add_epi32(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
    const __m256i v23 = _mm256_add_epi32(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(v01, v23), _mm256_unpackhi_epi64(v01, v23));
}

// Groups p of lanes 8 * part to 8 * part + 7, from the halves `h`.
__m256i sum_half(const WeightSpan& w, const ActivationSpan& a, int h, int part) {
    __m256i v[4];
    for (int b = 0; b < 4; ++b) {
        const int at = b * 128 + h * 64 + part * 32;
        v[b] = dot(w.codes + at, a.codes + at);
    }
    return sum_parts(v);
}

__m256i sum_both(const WeightSpan& w, const ActivationSpan& a, int part) {
    __m256i v[4];
    for (int b = 0; b < 4; ++b) {
        const int at = b * 128 + part * 32;
        v[b] = _mm256_add_epi32(dot(w.codes + at, a.codes + at), dot(w.codes + at + 64, a.codes + at + 64));
    }
    return sum_parts(v);
}

template <FormatKind kind>
void multiply_span(const WeightSpan& w, const ActivationSpan& a, __m256 (&acc)[2]) {
    for (int part = 0; part < 2; ++part) {
        const int lane = 8 * part;
        __m256i gsum, msum;
        if constexpr (kind.halves) {
            const __m256i first = _mm256_mullo_epi32(sum_half(w, a, 0, part), load256(w.scales[0] + lane));
            const __m256i second = _mm256_mullo_epi32(sum_half(w, a, 1, part), load256(w.scales[1] + lane));
            gsum = _mm256_add_epi32(first, second);
            msum = _mm256_add_epi32(
                _mm256_mullo_epi32(load256(w.minimums[0] + lane), load256(a.negated_half_sums[0] + lane)),
                _mm256_mullo_epi32(load256(w.minimums[1] + lane), load256(a.negated_half_sums[1] + lane)));
        } else {
            gsum = sum_both(w, a, part);
            msum = load256(a.negated_sums + lane);
            if constexpr (kind.scales) {
                gsum = _mm256_mullo_epi32(gsum, load256(w.scales[0] + lane));
                msum = _mm256_mullo_epi32(msum, load256(w.minimums[0] + lane));
            }
        }
        const __m256 scale = _mm256_loadu_ps(a.scales + lane);
        const __m256 d = _mm256_mul_ps(_mm256_loadu_ps(w.d + lane), scale);
        acc[part] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(gsum), d, acc[part]);
        if constexpr (kind.minimums) {
            const __m256 dmin = _mm256_mul_ps(_mm256_loadu_ps(w.dmin + lane), scale);
            acc[part] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(msum), dmin, acc[part]);
        }
    }
}

// Phase 4b + p lies at lane 4p + b: first over p, then over b.
float sum_phases(const __m256 (&acc)[2]) {
    const __m256 pairs = _mm256_add_ps(acc[0], acc[1]);
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
    const __m128 halves = _mm_add_ps(sums, _mm_movehl_ps(sums, sums));
    return _mm_cvtss_f32(_mm_add_ss(halves, _mm_movehdup_ps(halves)));
}

template <FormatKind kind>
void multiply_row(const WeightSpan* weights, const BlockTask& task, float* y) {
    const int64_t spans = num_spans(task.num_inputs);
    for (int64_t t = 0; t < task.num_tokens; ++t) {
        __m256 acc[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        for (int64_t s = 0; s < spans; ++s) multiply_span<kind>(weights[s], task.records[t][s], acc);
        y[t * task.y_stride] = sum_phases(acc);
    }
}

template <int idx>
void dot_task(const BlockTask& task) {
    const BlockFormat& format = block_formats[idx];
    auto* weights = reinterpret_cast<WeightSpan*>(task.scratch);
    with_kind(format.kind, [&]<FormatKind kind>() {
        for (int64_t r = 0; r < task.num_rows; ++r) {
            expand_row(format, task.rows + r * format.row_bytes(task.num_inputs), task.num_inputs, weights);
            multiply_row<kind>(weights, task, task.y + r);
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

}  // namespace moonlet::avx2
