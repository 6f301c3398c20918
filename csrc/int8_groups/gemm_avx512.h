#pragma once

// Many tokens: the codes of 16 rows are expanded once into a tile that stays in the L2 cache, rows in lanes, and every
// block of twelve tokens runs over it. A tile of 16 rows of K = 7168 is 112 KB of codes and 14 KB of scales.
//
// Registers: 12 integer accumulators, so that dpbusd (latency 4 to 5 cycles, one a cycle) is never waited for, one of
// weights, the rest for the ends of groups. The 16 phases of 12 tokens, 12 KB, lie in the L1 cache: per group a load
// and a store for each token, against 8 dpbusd.

#include "common/math_avx512.h"
#include "int8_groups/formats_avx512.h"

namespace moonlet::avx512 {

constexpr int64_t kTileRows = 16;
constexpr int kTileTokens = 12;
constexpr int64_t kSteps = 8;  // dwords of four codes in a group

// Byte of an activation block where step s of phase p finds the four codes that a tile dword meets.
template <class Format>
constexpr int64_t step_offset(int64_t p, int64_t s);
template <>
constexpr int64_t step_offset<Int4>(int64_t p, int64_t s) {
    return s < 4 ? 16 * p + 4 * s : 64 + 16 * p + 4 * (s - 4);
}
template <>
constexpr int64_t step_offset<Int8>(int64_t p, int64_t s) {
    return 32 * p + 4 * s;
}

// 16 vectors of 16 dwords, in place: v[i][j] becomes v[j][i].
static inline void transpose(__m512i (&v)[16]) {
    __m512i u[16];
    for (int i = 0; i < 16; i += 2) {
        u[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        u[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        v[i] = _mm512_unpacklo_epi64(u[i], u[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(u[i], u[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(u[i + 1], u[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(u[i + 1], u[i + 3]);
    }
    // v[4q + c] holds column c (mod 4) of rows 4q..4q+3, one quarter for each group of four columns.
    for (int c = 0; c < 4; ++c) {
        const __m512i even01 = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x88),
                      odd01 = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xdd);
        const __m512i even23 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x88);
        const __m512i odd23 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xdd);
        u[c] = _mm512_shuffle_i32x4(even01, even23, 0x88);
        u[8 + c] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
        u[4 + c] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
        u[12 + c] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
    }
    for (int i = 0; i < 16; ++i) v[i] = u[i];
}

// Codes as [block][phase][step][16 rows][4], scales as [group][16 rows] float32. Groups past the last are zero.
struct Tile {
    uint8_t* codes;
    float* scales;
    Tile(std::byte* scratch, int64_t num_inputs)
        : codes(reinterpret_cast<uint8_t*>(scratch)),
          scales(reinterpret_cast<float*>(scratch + kTileRows * padded_size(num_inputs))) {}
};

// Stores the four phases of 16 transposed dwords. In a 4-bit block dword 4p + s holds phase p's steps s and s + 4.
template <class Format>
static inline void expand_block(const uint8_t* const (&rows)[kTileRows], int64_t b, int64_t num_groups, uint8_t* out);

template <>
inline void expand_block<Int4>(const uint8_t* const (&rows)[kTileRows], int64_t b, int64_t num_groups, uint8_t* out) {
    __m512i v[16];
    for (int r = 0; r < 16; ++r) v[r] = load512_part(rows[r] + b * 64, num_groups * 16);
    transpose(v);
    for (int j = 0; j < 16; ++j) {
        const Int4::Codes codes = Int4::split(v[j]);
        uint8_t* target = out + ((j / 4) * kSteps + j % 4) * 64;
        _mm512_store_si512(target, codes.low);
        _mm512_store_si512(target + 4 * 64, codes.high);
    }
}

template <>
inline void expand_block<Int8>(const uint8_t* const (&rows)[kTileRows], int64_t b, int64_t num_groups, uint8_t* out) {
    for (int64_t half = 0; half < 2; ++half) {
        __m512i v[16];
        for (int r = 0; r < 16; ++r) v[r] = load512_part(rows[r] + b * 128 + half * 64, num_groups * 32 - half * 64);
        transpose(v);
        for (int j = 0; j < 16; ++j) _mm512_store_si512(out + (half * 16 + j) * 64, v[j]);
    }
}

template <class Format>
static inline void expand(const DotTask& task, int64_t row, const Tile& tile) {
    const int64_t num_groups = task.num_inputs / kGroup;
    const int64_t row_bytes = task.num_inputs * Format::block_bytes / kBlock;
    const int64_t last = task.num_rows - 1;
    const uint8_t* rows[kTileRows];
    const bf16* scales[kTileRows];
    for (int64_t r = 0; r < kTileRows; ++r) {
        const int64_t idx = row + r < last ? row + r : last;
        rows[r] = task.rows.codes + idx * row_bytes;
        scales[r] = task.rows.scales + idx * num_groups;
    }
    for (int64_t b = 0; 4 * b < num_groups; ++b) {
        expand_block<Format>(rows, b, num_groups - 4 * b < 4 ? num_groups - 4 * b : 4, tile.codes + b * kBlock * 16);
    }
    for (int64_t g = 0; g < padded_size(task.num_inputs) / kGroup; g += 16) {
        // 16 rows of up to 16 scales (32 bytes), widened and then transposed like codes.
        const int64_t left = num_groups - g;
        const __mmask16 mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << (left > 0 ? left : 0)) - 1);
        __m512i v[16];
        for (int r = 0; r < 16; ++r) {
            v[r] = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, scales[r] + g)), 16);
        }
        transpose(v);
        for (int64_t j = 0; j < 16 && g + j < padded_size(task.num_inputs) / kGroup; ++j) {
            _mm512_store_si512(tile.scales + (g + j) * kTileRows, v[j]);
        }
    }
}

static inline __m512i broadcast(const int8_t* four_codes) {
    int32_t dword;
    std::memcpy(&dword, four_codes, sizeof(dword));
    return _mm512_set1_epi32(dword);
}

// One group of 16 rows times NT tokens, added to that group's phase.
template <class Format, int NT>
static inline void multiply_group(const uint8_t* w, const float* w_scales, const Int8Record (&a)[NT], int64_t b,
                                  int64_t p, __m512 (&acc)[NT]) {
    const int64_t position = b / 4 * kPhases + 4 * p + b % 4;
    __m512i isum[NT];
    for (int t = 0; t < NT; ++t) isum[t] = _mm512_set1_epi32(a[t].corrections[position]);
    for (int64_t s = 0; s < kSteps; ++s) {
        const __m512i codes = _mm512_load_si512(w + s * 64);
        const int64_t offset = b * kBlock + step_offset<Format>(p, s);
        for (int t = 0; t < NT; ++t) isum[t] = _mm512_dpbusd_epi32(isum[t], codes, broadcast(a[t].codes + offset));
    }
    const __m512 scales = _mm512_load_ps(w_scales);
    for (int t = 0; t < NT; ++t) {
        const __m512 scale = _mm512_mul_ps(scales, _mm512_set1_ps(a[t].scales[position]));
        acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum[t]), scale, acc[t]);
    }
}

static inline __m512 sum_four(__m512 v0, __m512 v1, __m512 v2, __m512 v3) {
    return _mm512_add_ps(_mm512_add_ps(v0, v2), _mm512_add_ps(v1, v3));
}

template <class Format, int NT>
static inline void multiply_tile(const Tile& tile, const DotTask& task, int64_t row, int64_t token) {
    Int8Record a[NT];
    __m512 acc[kPhases][NT];
    for (int t = 0; t < NT; ++t) {
        a[t] = Int8Record(task.records[token + t], task.num_inputs);
        for (int phase = 0; phase < kPhases; ++phase) acc[phase][t] = _mm512_setzero_ps();
    }
    const int64_t num_blocks = padded_size(task.num_inputs) / kBlock;
    for (int64_t b = 0; b < num_blocks; ++b) {
        for (int64_t p = 0; p < 4; ++p) {
            const int64_t g = 4 * b + p;
            multiply_group<Format, NT>(tile.codes + g * kGroup * kTileRows, tile.scales + g * kTileRows, a, b, p,
                                       acc[g % kPhases]);
        }
    }
    const int64_t left = task.num_rows - row;
    const auto mask = static_cast<__mmask16>(left >= kTileRows ? 0xffff : (1 << left) - 1);
    for (int t = 0; t < NT; ++t) {
        __m512 sums[4];
        for (int b = 0; b < 4; ++b) {
            sums[b] = sum_four(acc[4 * b][t], acc[4 * b + 1][t], acc[4 * b + 2][t], acc[4 * b + 3][t]);
        }
        _mm512_mask_storeu_ps(task.y + (token + t) * task.y_stride + row, mask,
                              sum_four(sums[0], sums[1], sums[2], sums[3]));
    }
}

template <class Format>
static inline void gemm(const DotTask& task) {
    const Tile tile(task.scratch, task.num_inputs);
    for (int64_t row = 0; row < task.num_rows; row += kTileRows) {
        expand<Format>(task, row, tile);
        int64_t t = 0;
        for (; t + kTileTokens <= task.num_tokens; t += kTileTokens) {
            multiply_tile<Format, kTileTokens>(tile, task, row, t);
        }
        for (; t + 6 <= task.num_tokens; t += 6) multiply_tile<Format, 6>(tile, task, row, t);
        for (; t + 3 <= task.num_tokens; t += 3) multiply_tile<Format, 3>(tile, task, row, t);
        for (; t < task.num_tokens; ++t) multiply_tile<Format, 1>(tile, task, row, t);
    }
}

}  // namespace moonlet::avx512
