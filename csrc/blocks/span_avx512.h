#pragma once

// A span of weights in registers, and its product with a span of activations.

#include <immintrin.h>

#include "blocks/blocks.h"
#include "common/few_tokens_avx512.h"

namespace moonlet::avx512 {

// Whatever makes or takes a Span is always inlined: left to itself the compiler hands it over through memory, which
// made readers of codebooks half as fast.
//
// Codes are unsigned, code + 2^zero_shift of the reader that made it, or code + zeros of its group where zero_shift is
// kZerosOfGroups. codes[2b + h] holds the halves h of block b.
constexpr int kZerosOfGroups = -2;
struct Span {
    __m512i codes[8];
    __m512i zeros;        // if zero_shift is kZerosOfGroups, which needs a kind without halves
    __m512i scales[2];    // if kind.scales; the second if kind.halves
    __m512i minimums[2];  // if kind.minimums and kind.scales; the second if kind.halves
    __m512 d;
    __m512 dmin;  // if kind.minimums
};

template <int zero_shift>
static inline __m512i without_zero(__m512i sums, const int32_t* negated_sums) {
    if constexpr (zero_shift < 0) return sums;
    return _mm512_add_epi32(sums, _mm512_slli_epi32(load512(negated_sums), zero_shift < 0 ? 0 : zero_shift));
}

// zero_shift: the codes' zero point is 2 to this power, 0 if it is -1, or that of Span::zeros.
template <FormatKind kind, int zero_shift>
[[gnu::always_inline]] static inline __m512 multiply_span(const Span& w, const ActivationSpan& a, __m512 acc) {
    const __m512i none = _mm512_setzero_si512();
    __m512i gsum;
    if constexpr (kind.halves) {
        __m512i parts[8];
        for (int i = 0; i < 8; ++i) parts[i] = _mm512_dpbusd_epi32(none, w.codes[i], load512(a.codes + 64 * i));
        const __m512i first = without_zero<zero_shift>(sum_parts(parts[0], parts[2], parts[4], parts[6]),  //
                                                       a.negated_half_sums[0]);
        const __m512i second =
            without_zero<zero_shift>(sum_parts(parts[1], parts[3], parts[5], parts[7]), a.negated_half_sums[1]);
        gsum = _mm512_add_epi32(_mm512_mullo_epi32(first, w.scales[0]), _mm512_mullo_epi32(second, w.scales[1]));
    } else {
        __m512i parts[4];
        for (int b = 0; b < 4; ++b) {
            parts[b] = _mm512_dpbusd_epi32(none, w.codes[2 * b], load512(a.codes + 128 * b));
            parts[b] = _mm512_dpbusd_epi32(parts[b], w.codes[2 * b + 1], load512(a.codes + 128 * b + 64));
        }
        gsum = without_zero<zero_shift>(sum_parts(parts[0], parts[1], parts[2], parts[3]), a.negated_sums);
        if constexpr (zero_shift == kZerosOfGroups) {
            gsum = _mm512_add_epi32(gsum, _mm512_mullo_epi32(load512(a.negated_sums), w.zeros));
        }
        if constexpr (kind.scales) gsum = _mm512_mullo_epi32(gsum, w.scales[0]);
    }
    const __m512 scale = _mm512_load_ps(a.scales);
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(gsum), _mm512_mul_ps(w.d, scale), acc);
    if constexpr (kind.minimums) {
        __m512i msum = load512(a.negated_sums);
        if constexpr (kind.halves) {
            msum = _mm512_add_epi32(_mm512_mullo_epi32(load512(a.negated_half_sums[0]), w.minimums[0]),
                                    _mm512_mullo_epi32(load512(a.negated_half_sums[1]), w.minimums[1]));
        } else if constexpr (kind.scales) {
            msum = _mm512_mullo_epi32(msum, w.minimums[0]);
        }
        acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(msum), _mm512_mul_ps(w.dmin, scale), acc);
    }
    return acc;
}

}  // namespace moonlet::avx512
