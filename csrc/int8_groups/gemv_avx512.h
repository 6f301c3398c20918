#pragma once

// Few tokens: weights are read as stored, one row after another, each 64-byte load once for up to eight tokens.
//
// Four blocks of a row give four vectors of group sums; transposed and added they are one vector of 16 groups, so that
// conversion, scales and the fma are paid once for 512 weights. Reading single rows keeps memory busy with one
// sequential stream, which the hardware prefetches: four rows at a time, though no more work, read 14 GB/s where this
// reads 30 (Zen 4 server core, K = 7168; software prefetches brought the four rows to 24, and cost single rows a
// tenth).

#include "common/few_tokens_avx512.h"
#include "common/math_avx512.h"
#include "int8_groups/formats_avx512.h"

namespace moonlet::avx512 {

constexpr int kMaxTokens = 8;      // 8 registers of weights, 8 of temporaries, 8 accumulators
constexpr int kMaxBf16Tokens = 4;  // which have four sums each, beside the accumulators

// Four vectors of [4 groups][4 parts] into [group][vector], in the order of the integer form.
static inline __m512 sum_parts(const __m512 (&v)[4]) {
    const __m512d v01 = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1])));
    const __m512d v23 = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3])));
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(v01, v23)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(v01, v23)));
}

// 16 bf16 scales (or the first of them that `mask` names) as float32, group 4b + p in lane 4p + b. One permutation of
// words reorders and widens, since the low half of a float32 made from bf16 is zero.
static inline __m512 load_scales(const bf16* scales, __mmask16 mask) {
    const __m256i words = _mm256_maskz_loadu_epi16(mask, scales);
    const __m512i order = _mm512_set_epi16(15, 0, 11, 0, 7, 0, 3, 0, 14, 0, 10, 0, 6, 0, 2, 0,  //
                                           13, 0, 9, 0, 5, 0, 1, 0, 12, 0, 8, 0, 4, 0, 0, 0);
    return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaau, order, _mm512_castsi256_si512(words)));
}

// One row of a task.
struct StoredRow {
    const uint8_t* codes;
    const bf16* scales;
    int64_t num_inputs;
};

// Calls step(codes, w_scales, span, num_blocks) for some spans of a row; codes of blocks past the last are zero.
template <class Format, class Step>
static inline void for_each_span(const StoredRow& row, const SpanRange& spans, const Step& step) {
    typename Format::Codes w[4];
    const int64_t whole = row.num_inputs / kSpan;
    for (int64_t span = spans.first; span < std::min(spans.end, whole); ++span) {
        for (int64_t b = 0; b < 4; ++b) w[b] = Format::load(row.codes + (4 * span + b) * Format::block_bytes);
        step(w, load_scales(row.scales + span * kPhases, 0xffff), span, 4);
    }
    if (spans.end <= whole) return;
    const int64_t groups_left = row.num_inputs % kSpan / kGroup;
    for (int64_t b = 0; b < 4; ++b) {
        w[b] = Format::load_part(row.codes + (4 * whole + b) * Format::block_bytes, groups_left - 4 * b);
    }
    const auto mask = static_cast<__mmask16>((1 << groups_left) - 1);
    step(w, load_scales(row.scales + whole * kPhases, mask), whole, (groups_left + 3) / 4);
}

// Adds the products of some spans of a row and NT int8 records.
template <class Format, int NT>
static inline void gemv_int8(const StoredRow& row, const SpanRange& spans, const std::byte* const* records,
                             RowSums<NT>& sums) {
    __m512 acc[NT];
    for (int t = 0; t < NT; ++t) acc[t] = sums[t];
    const auto step = [&](const typename Format::Codes(&w)[4], __m512 w_scales, int64_t span, int64_t num_blocks) {
        for (int t = 0; t < NT; ++t) {
            const Int8Record a(records[t], row.num_inputs);
            const int8_t* a_codes = a.codes + span * kSpan;
            __m512i parts[4];
            for (int64_t b = 0; b < 4; ++b) {
                // A record ends with its last block.
                parts[b] = b < num_blocks ? Format::dot(w[b], a_codes + b * kBlock) : _mm512_setzero_si512();
            }
            const __m512i corrections = load512(a.corrections + span * kPhases);
            const __m512i isum = _mm512_add_epi32(sum_parts(parts[0], parts[1], parts[2], parts[3]), corrections);
            const __m512 scale = _mm512_mul_ps(w_scales, _mm512_loadu_ps(a.scales + span * kPhases));
            acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum), scale, acc[t]);
        }
    };
    for_each_span<Format>(row, spans, step);
    for (int t = 0; t < NT; ++t) sums[t] = acc[t];
}

// The same for bf16 records. A permutation of a table of 16 floats turns codes into values: it reads only the low
// four bits of each lane, so shifting the dwords is all the unpacking there is.
template <int NT>
static inline void gemv_bf16(const StoredRow& row, const SpanRange& spans, const std::byte* const* records,
                             RowSums<NT>& sums) {
    __m512 acc[NT];
    for (int t = 0; t < NT; ++t) acc[t] = sums[t];
    const __m512 table = _mm512_set_ps(7, 6, 5, 4, 3, 2, 1, 0, -1, -2, -3, -4, -5, -6, -7, -8);
    const auto step = [&](__m512i(&w)[4], __m512 w_scales, int64_t span, int64_t num_blocks) {
        __m512 parts[NT][4];
        for (int t = 0; t < NT; ++t) {
            for (int b = 0; b < 4; ++b) parts[t][b] = _mm512_setzero_ps();
        }
        for (int64_t b = 0; b < 4; ++b) {
            if (b >= num_blocks) break;
            for (int64_t i = 0; i < 8; ++i) {
                const __m512 values = _mm512_permutexvar_ps(w[b], table);
                w[b] = _mm512_srli_epi32(w[b], 4);
                for (int t = 0; t < NT; ++t) {
                    const auto* a = reinterpret_cast<const float*>(records[t]) + span * kSpan + b * kBlock + 16 * i;
                    parts[t][b] = _mm512_fmadd_ps(values, _mm512_loadu_ps(a), parts[t][b]);
                }
            }
        }
        for (int t = 0; t < NT; ++t) acc[t] = _mm512_fmadd_ps(sum_parts(parts[t]), w_scales, acc[t]);
    };
    for_each_span<PackedInt4>(row, spans, step);
    for (int t = 0; t < NT; ++t) sums[t] = acc[t];
}

}  // namespace moonlet::avx512
