#pragma once

// Any number of tokens: weights are read as stored, one row after another, two groups of a block (one 256-bit vector)
// at a time. A tile as for AVX-512 would gain less than half here, since 16-bit products need the same additions either
// way.

#include <immintrin.h>

#include <cstring>

#include "common/math_avx2.h"
#include "int8_groups/int8_groups.h"

namespace moonlet::avx2 {

constexpr int kMaxTokens = 2;  // more would spill: 8 registers of weights, and 8 of temporaries

static inline __m256i load256(const void* source) { return _mm256_loadu_si256(static_cast<const __m256i*>(source)); }

// `half` 0 is groups 0 and 1 of a block, 1 is groups 2 and 3. dot gives [group][4 partial sums].
struct Int4 {
    static constexpr int64_t block_bytes = 64;
    struct Codes {
        __m256i low, high;
    };
    static inline Codes load(const uint8_t* codes, int64_t half) {
        const __m256i mask = _mm256_set1_epi8(15), bytes = load256(codes + 32 * half);
        return {_mm256_and_si256(bytes, mask), _mm256_and_si256(_mm256_srli_epi32(bytes, 4), mask)};
    }
    // Four products of at most 15 * 127 fit 16 bits.
    static inline __m256i dot(const Codes& codes, const int8_t* a, int64_t half) {
        const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(codes.low, load256(a + 32 * half)),
                                               _mm256_maddubs_epi16(codes.high, load256(a + 64 + 32 * half)));
        return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    }
};

struct Int8 {
    static constexpr int64_t block_bytes = 128;
    struct Codes {
        __m256i first, second;
    };
    static inline Codes load(const uint8_t* codes, int64_t half) {
        return {load256(codes + 64 * half), load256(codes + 64 * half + 32)};
    }
    static inline __m256i dot(const Codes& codes, const int8_t* a, int64_t half) {
        const __m256i first = dot_group(codes.first, load256(a + 64 * half));
        const __m256i second = dot_group(codes.second, load256(a + 64 * half + 32));
        return _mm256_add_epi32(_mm256_permute2x128_si256(first, second, 0x20),
                                _mm256_permute2x128_si256(first, second, 0x31));
    }
    // maddubs of whole bytes would saturate, so a byte is 16 * high + low, each half a nibble.
    static inline __m256i dot_group(__m256i codes, __m256i a) {
        const __m256i mask = _mm256_set1_epi8(15);
        const __m256i low = _mm256_and_si256(codes, mask);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi32(codes, 4), mask);
        return _mm256_add_epi32(_mm256_madd_epi16(_mm256_maddubs_epi16(low, a), _mm256_set1_epi16(1)),
                                _mm256_madd_epi16(_mm256_maddubs_epi16(high, a), _mm256_set1_epi16(16)));
    }
};

// Four vectors of [2 groups][4 parts] into [group][vector]; each sum is (part0 + part2) + (part1 + part3).
static inline __m256i sum_parts(const __m256i (&v)[4]) {
    const __m256i v01 = _mm256_add_epi32(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
    const __m256i v23 = _mm256_add_epi32(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(v01, v23), _mm256_unpackhi_epi64(v01, v23));
}
static inline __m256 sum_parts(const __m256 (&v)[4]) {
    const __m256d v01 = _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpackhi_ps(v[0], v[1])));
    const __m256d v23 = _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(v[2], v[3]), _mm256_unpackhi_ps(v[2], v[3])));
    return _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(v01, v23)),
                         _mm256_castpd_ps(_mm256_unpackhi_pd(v01, v23)));
}

// The row's result from its phases, which lie as 4p + b in two vectors: first over p, then over b.
static inline float sum_phases(const __m256 (&acc)[2]) {
    const __m256 pairs = _mm256_add_ps(acc[0], acc[1]);
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
    const __m128 halves = _mm_add_ps(sums, _mm_movehl_ps(sums, sums));  // b0 + b2, b1 + b3
    return _mm_cvtss_f32(_mm_add_ss(halves, _mm_movehdup_ps(halves)));
}

// 16 bf16 scales as float32, group 4b + p in lane 4p + b of the two vectors.
static inline void load_scales(const bf16* scales, __m256 (&out)[2]) {
    const __m128i by_phase = _mm_set_epi8(15, 14, 7, 6, 13, 12, 5, 4, 11, 10, 3, 2, 9, 8, 1, 0);
    const __m128i b01 = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales)), by_phase);
    const __m128i b23 = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales + 8)), by_phase);
    const __m256i low = _mm256_cvtepu16_epi32(_mm_unpacklo_epi32(b01, b23));
    const __m256i high = _mm256_cvtepu16_epi32(_mm_unpackhi_epi32(b01, b23));
    out[0] = _mm256_castsi256_ps(_mm256_slli_epi32(low, 16));
    out[1] = _mm256_castsi256_ps(_mm256_slli_epi32(high, 16));
}

// Calls step(codes, scales, span, num_blocks) for every span of one row; step reads 16 scales and num_blocks blocks. Of
// the last span scales, and codes if its last block is not whole, come from a copy filled up with zeros.
template <class Format, class Step>
static inline void for_each_span(const uint8_t* codes, const bf16* scales, int64_t num_inputs, const Step& step) {
    const int64_t num_spans = num_inputs / kSpan;
    constexpr int64_t span_bytes = 4 * Format::block_bytes;
    for (int64_t span = 0; span < num_spans; ++span) step(codes + span * span_bytes, scales + span * kPhases, span, 4);
    const int64_t groups_left = num_inputs % kSpan / kGroup;
    if (groups_left == 0) return;
    bf16 last_scales[kPhases] = {};
    std::memcpy(last_scales, scales + num_spans * kPhases, static_cast<size_t>(groups_left) * sizeof(bf16));
    const uint8_t* last = codes + num_spans * span_bytes;
    uint8_t filled[span_bytes];
    if (groups_left % 4 != 0) {
        const auto num_bytes = static_cast<size_t>(groups_left * Format::block_bytes / 4);
        std::memcpy(filled, last, num_bytes);
        std::memset(filled + num_bytes, 0, span_bytes - num_bytes);
        last = filled;
    }
    step(last, last_scales, num_spans, (groups_left + 3) / 4);
}

// One row times NT int8 records; token t's result goes to y[t * y_stride].
template <class Format, int NT>
static inline void gemv_int8(const uint8_t* codes, const bf16* scales, int64_t num_inputs,
                             const std::byte* const* records, float* y, int64_t y_stride) {
    __m256 acc[NT][2];
    for (int t = 0; t < NT; ++t) acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    const auto step = [&](const uint8_t* w_codes, const bf16* bf16_scales, int64_t span, int64_t num_blocks) {
        __m256 w_scales[2];
        load_scales(bf16_scales, w_scales);
        for (int64_t half = 0; half < 2; ++half) {
            typename Format::Codes w[4] = {};
            for (int64_t b = 0; b < 4; ++b) {
                if (b < num_blocks) w[b] = Format::load(w_codes + b * Format::block_bytes, half);
            }
            for (int t = 0; t < NT; ++t) {
                const auto* a = reinterpret_cast<const int8_t*>(records[t]) + span * kSpan;
                const auto* a_scales = reinterpret_cast<const float*>(records[t] + padded_size(num_inputs));
                const float* corrections = a_scales + padded_groups(num_inputs);
                const int64_t position = span * kPhases + 8 * half;
                __m256i parts[4];
                for (int64_t b = 0; b < 4; ++b) {
                    // A record ends with its last block.
                    parts[b] = b < num_blocks ? Format::dot(w[b], a + b * kBlock, half) : _mm256_setzero_si256();
                }
                const __m256i isum = _mm256_add_epi32(sum_parts(parts), load256(corrections + position));
                const __m256 scale = _mm256_mul_ps(w_scales[half], _mm256_loadu_ps(a_scales + position));
                acc[t][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum), scale, acc[t][half]);
            }
        }
    };
    for_each_span<Format>(codes, scales, num_inputs, step);
    for (int t = 0; t < NT; ++t) y[t * y_stride] = sum_phases(acc[t]);
}

// One row times NT bf16 records.
template <int NT>
static inline void gemv_bf16(const uint8_t* codes, const bf16* scales, int64_t num_inputs,
                             const std::byte* const* records, float* y, int64_t y_stride) {
    __m256 acc[NT][2];
    for (int t = 0; t < NT; ++t) acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    const auto step = [&](const uint8_t* w_codes, const bf16* bf16_scales, int64_t span, int64_t num_blocks) {
        const __m256i mask = _mm256_set1_epi32(15);
        const __m256 zero = _mm256_set1_ps(static_cast<float>(kInt4Zero));
        __m256 w_scales[2];
        load_scales(bf16_scales, w_scales);
        for (int64_t half = 0; half < 2; ++half) {
            __m256 parts[NT][4];
            for (int t = 0; t < NT; ++t) {
                for (int b = 0; b < 4; ++b) parts[t][b] = _mm256_setzero_ps();
            }
            for (int64_t b = 0; b < 4; ++b) {
                if (b >= num_blocks) break;
                __m256i w = load256(w_codes + b * 64 + 32 * half);
                for (int64_t i = 0; i < 8; ++i) {
                    const __m256 value = _mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_and_si256(w, mask)), zero);
                    w = _mm256_srli_epi32(w, 4);
                    for (int t = 0; t < NT; ++t) {
                        const auto* a = reinterpret_cast<const float*>(records[t]) + span * kSpan + b * kBlock;
                        parts[t][b] = _mm256_fmadd_ps(value, _mm256_loadu_ps(a + 16 * i + 8 * half), parts[t][b]);
                    }
                }
            }
            for (int t = 0; t < NT; ++t) {
                acc[t][half] = _mm256_fmadd_ps(sum_parts(parts[t]), w_scales[half], acc[t][half]);
            }
        }
    };
    for_each_span<Int4>(codes, scales, num_inputs, step);
    for (int t = 0; t < NT; ++t) y[t * y_stride] = sum_phases(acc[t]);
}

}  // namespace moonlet::avx2
