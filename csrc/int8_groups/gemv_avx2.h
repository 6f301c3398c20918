#pragma once

// Any number of tokens: weights are read as stored, four rows and two groups (one 256-bit vector) at a time. A tile as
// for AVX-512 would gain less than half here, since 16-bit products need the same additions either way.

#include <immintrin.h>

#include <cstring>

#include "common/math_avx2.h"
#include "int8_groups/int8_groups.h"

namespace moonlet::avx2 {

constexpr int64_t kRows = 4;
constexpr int64_t kMaxTokens = 2;  // more would spill: 8 registers of weights, and 8 of temporaries

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

// Four vectors of [group][4 parts] into [group][4 rows]; each sum is (part0 + part2) + (part1 + part3).
static inline __m256i sum_parts(__m256i a, __m256i b, __m256i c, __m256i d) {
    const __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    const __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}
static inline __m256 sum_parts(__m256 a, __m256 b, __m256 c, __m256 d) {
    const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    const __m256d abd = _mm256_castps_pd(ab), cdd = _mm256_castps_pd(cd);
    return _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(abd, cdd)),
                         _mm256_castpd_ps(_mm256_unpackhi_pd(abd, cdd)));
}

// (acc0 + acc2) + (acc1 + acc3), from [phase 0, 1][row] and [phase 2, 3][row].
static inline __m128 sum_phases(const __m256 (&acc)[2]) {
    const __m256 sum = _mm256_add_ps(acc[0], acc[1]);
    return _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
}

// One block of four rows as stored, and its scales.
struct Block {
    const uint8_t* codes[kRows];
    const bf16* scales[kRows];

    // Scales as [phase][row]: out[0] phases 0 and 1, out[1] phases 2 and 3.
    void load_scales(__m256 (&out)[2]) const {
        __m128i s[kRows];
        for (int r = 0; r < kRows; ++r) s[r] = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales[r]));
        const __m128i s01 = _mm_unpacklo_epi16(s[0], s[1]), s23 = _mm_unpacklo_epi16(s[2], s[3]);
        const __m256i low = _mm256_cvtepu16_epi32(_mm_unpacklo_epi32(s01, s23));
        const __m256i high = _mm256_cvtepu16_epi32(_mm_unpackhi_epi32(s01, s23));
        out[0] = _mm256_castsi256_ps(_mm256_slli_epi32(low, 16));
        out[1] = _mm256_castsi256_ps(_mm256_slli_epi32(high, 16));
    }
};

// Four rows of a matrix; rows past the last repeat it, and their results are not stored.
struct FourRows {
    const uint8_t* codes[kRows];
    const bf16* scales[kRows];
    int64_t count;

    FourRows(const DotTask& task, int64_t row, int64_t row_bytes) {
        count = task.num_rows - row < kRows ? task.num_rows - row : kRows;
        for (int64_t r = 0; r < kRows; ++r) {
            const int64_t idx = row + (r < count ? r : count - 1);
            codes[r] = task.rows.codes + idx * row_bytes;
            scales[r] = task.rows.scales + idx * (task.num_inputs / kGroup);
        }
    }
    void store(float* y, __m128 values) const {
        float all[kRows];
        _mm_storeu_ps(all, values);
        for (int64_t r = 0; r < count; ++r) y[r] = all[r];
    }
};

// Calls step(block, b) for every block; the last, if it is not whole, from a copy filled up with zeros.
template <int64_t block_bytes, class Step>
static inline void for_each_block(const FourRows& rows, int64_t num_inputs, const Step& step) {
    const int64_t num_blocks = num_inputs / kBlock;
    Block block;
    for (int64_t b = 0; b < num_blocks; ++b) {
        for (int64_t r = 0; r < kRows; ++r) {
            block.codes[r] = rows.codes[r] + b * block_bytes;
            block.scales[r] = rows.scales[r] + 4 * b;
        }
        step(block, b);
    }
    const int64_t num_left = num_inputs % kBlock / kGroup;
    if (num_left == 0) return;
    uint8_t codes[kRows][block_bytes] = {};
    bf16 scales[kRows][4] = {};
    for (int64_t r = 0; r < kRows; ++r) {
        std::memcpy(codes[r], rows.codes[r] + num_blocks * block_bytes,
                    static_cast<size_t>(num_left * block_bytes / 4));
        std::memcpy(scales[r], rows.scales[r] + 4 * num_blocks, static_cast<size_t>(num_left) * sizeof(bf16));
        block.codes[r] = codes[r];
        block.scales[r] = scales[r];
    }
    step(block, num_blocks);
}

template <class Format, int NT>
static inline void gemv_int8(const FourRows& rows, int64_t num_inputs, const std::byte* const* records, float* y,
                             int64_t y_stride) {
    __m256 acc[NT][2];
    for (int t = 0; t < NT; ++t) acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    for_each_block<Format::block_bytes>(rows, num_inputs, [&](const Block& block, int64_t b) {
        __m256 w_scales[2];
        block.load_scales(w_scales);
        for (int64_t half = 0; half < 2; ++half) {
            const __m256i phase =
                half == 0 ? _mm256_set_epi32(1, 1, 1, 1, 0, 0, 0, 0) : _mm256_set_epi32(3, 3, 3, 3, 2, 2, 2, 2);
            typename Format::Codes w[kRows];
            for (int r = 0; r < kRows; ++r) w[r] = Format::load(block.codes[r], half);
            for (int t = 0; t < NT; ++t) {
                const auto* codes = reinterpret_cast<const int8_t*>(records[t]) + b * kBlock;
                const auto* scales = reinterpret_cast<const float*>(records[t] + padded_size(num_inputs));
                const float* corrections = scales + padded_groups(num_inputs);
                __m256i isum = sum_parts(Format::dot(w[0], codes, half), Format::dot(w[1], codes, half),
                                         Format::dot(w[2], codes, half), Format::dot(w[3], codes, half));
                const __m128i four = _mm_loadu_si128(reinterpret_cast<const __m128i*>(corrections + 4 * b));
                isum = _mm256_add_epi32(isum, _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(four), phase));
                const __m256 a_scales =
                    _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(scales + 4 * b)), phase);
                acc[t][half] =
                    _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum), _mm256_mul_ps(w_scales[half], a_scales), acc[t][half]);
            }
        }
    });
    for (int t = 0; t < NT; ++t) rows.store(y + t * y_stride, sum_phases(acc[t]));
}

template <int NT>
static inline void gemv_bf16(const FourRows& rows, int64_t num_inputs, const std::byte* const* records, float* y,
                             int64_t y_stride) {
    __m256 acc[NT][2];
    for (int t = 0; t < NT; ++t) acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    for_each_block<64>(rows, num_inputs, [&](const Block& block, int64_t b) {
        const __m256i mask = _mm256_set1_epi32(15);
        const __m256 zero = _mm256_set1_ps(static_cast<float>(kInt4Zero));
        __m256 w_scales[2];
        block.load_scales(w_scales);
        for (int64_t half = 0; half < 2; ++half) {
            __m256i w[kRows];
            __m256 p[NT][kRows];
            for (int r = 0; r < kRows; ++r) {
                w[r] = load256(block.codes[r] + 32 * half);
                for (int t = 0; t < NT; ++t) p[t][r] = _mm256_setzero_ps();
            }
            for (int64_t i = 0; i < 8; ++i) {
                for (int r = 0; r < kRows; ++r) {
                    const __m256 value = _mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_and_si256(w[r], mask)), zero);
                    w[r] = _mm256_srli_epi32(w[r], 4);
                    for (int t = 0; t < NT; ++t) {
                        const auto* a = reinterpret_cast<const float*>(records[t]) + b * kBlock + 16 * i + 8 * half;
                        p[t][r] = _mm256_fmadd_ps(value, _mm256_loadu_ps(a), p[t][r]);
                    }
                }
            }
            for (int t = 0; t < NT; ++t) {
                const __m256 gsum = sum_parts(p[t][0], p[t][1], p[t][2], p[t][3]);
                acc[t][half] = _mm256_fmadd_ps(gsum, w_scales[half], acc[t][half]);
            }
        }
    });
    for (int t = 0; t < NT; ++t) rows.store(y + t * y_stride, sum_phases(acc[t]));
}

}  // namespace moonlet::avx2
