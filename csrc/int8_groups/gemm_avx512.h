#pragma once

// Many tokens: the codes of 32 rows are expanded once into a tile that stays in the L2 cache, rows in lanes, and every
// block of six tokens runs over it. A tile of 32 rows of K = 7168 is 224 KB of codes and 28 KB of scales.
//
// Registers: 2 * 6 integer accumulators, so that dpbusd (latency 4 to 5 cycles, one a cycle) is never waited for, two
// of weights and one of activations, which each serve several dpbusd; six record pointers leave the general registers
// room. The 16 phases of 32 rows and six tokens, 12 KB, lie in the L1 cache: per group a load and a store against 8
// dpbusd.

#include "common/math_avx512.h"
#include "common/transpose_avx512.h"
#include "int8_groups/formats_avx512.h"

namespace moonlet::avx512 {

constexpr int64_t kTileRows = 32;
constexpr int64_t kLanes = 16;  // rows of a vector; a tile is two vectors wide
constexpr int kTileTokens = 6;
constexpr int64_t kSteps = 8;  // dwords of four codes in a group

// Where the activations of a group begin in a block of their record, and step s of it from there: the four codes that a
// tile dword meets.
template <class Format>
constexpr int64_t group_offset(int64_t p);
template <>
constexpr int64_t group_offset<Int4>(int64_t p) {
    return 16 * p;
}
template <>
constexpr int64_t group_offset<Int8>(int64_t p) {
    return 32 * p;
}
template <class Format>
constexpr int64_t step_offset(int64_t s);
template <>
constexpr int64_t step_offset<Int4>(int64_t s) {
    return s < 4 ? 4 * s : 64 + 4 * (s - 4);
}
template <>
constexpr int64_t step_offset<Int8>(int64_t s) {
    return 4 * s;
}

// Codes as [group][step][32 rows][4], scales as [group][32 rows] float32. Groups past the last of a block are zero.
struct Tile {
    uint8_t* codes;
    float* scales;
    Tile(std::byte* scratch, int64_t num_inputs)
        : codes(reinterpret_cast<uint8_t*>(scratch)),
          scales(reinterpret_cast<float*>(scratch + kTileRows * padded_size(num_inputs))) {}
};

// Writes one block of 16 rows into the tile. In a 4-bit block dword 4p + s holds steps s and s + 4 of its group p.
template <class Format>
static inline void expand_block(const uint8_t* const (&rows)[kLanes], int64_t b, int64_t num_groups, uint8_t* out);

template <>
inline void expand_block<Int4>(const uint8_t* const (&rows)[kLanes], int64_t b, int64_t num_groups, uint8_t* out) {
    __m512i v[16];
    for (int r = 0; r < 16; ++r) v[r] = load512_part(rows[r] + b * 64, num_groups * 16);
    transpose(v);
    for (int j = 0; j < 16; ++j) {
        const Int4::Codes codes = Int4::split(v[j]);
        uint8_t* target = out + (j / 4 * kSteps + j % 4) * kTileRows * 4;
        _mm512_store_si512(target, codes.low);
        _mm512_store_si512(target + 4 * kTileRows * 4, codes.high);
    }
}

template <>
inline void expand_block<Int8>(const uint8_t* const (&rows)[kLanes], int64_t b, int64_t num_groups, uint8_t* out) {
    for (int64_t half = 0; half < 2; ++half) {
        __m512i v[16];
        for (int r = 0; r < 16; ++r) v[r] = load512_part(rows[r] + b * 128 + half * 64, num_groups * 32 - half * 64);
        transpose(v);
        for (int j = 0; j < 16; ++j) _mm512_store_si512(out + (half * 16 + j) * kTileRows * 4, v[j]);
    }
}

// 16 rows from `row` on into the tile's columns from `column` on; rows past the last repeat it.
template <class Format>
static inline void expand_rows(const DotTask& task, int64_t row, const Tile& tile, int64_t column) {
    const int64_t num_groups = task.num_inputs / kGroup;
    const int64_t padded = padded_size(task.num_inputs) / kGroup;
    const int64_t row_bytes = task.num_inputs * Format::block_bytes / kBlock;
    const uint8_t* rows[kLanes];
    const bf16* scales[kLanes];
    for (int64_t r = 0; r < kLanes; ++r) {
        const int64_t idx = row + r < task.num_rows ? row + r : task.num_rows - 1;
        rows[r] = task.rows.codes + idx * row_bytes;
        scales[r] = task.rows.scales + idx * num_groups;
    }
    for (int64_t b = 0; 4 * b < num_groups; ++b) {
        const int64_t left = num_groups - 4 * b;
        expand_block<Format>(rows, b, left < 4 ? left : 4, tile.codes + (b * kBlock * kTileRows) + column * 4);
    }
    for (int64_t g = 0; g < padded; g += 16) {
        // 16 rows of up to 16 scales, widened and then transposed like codes.
        const int64_t left = num_groups - g;
        const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
        __m512i v[16];
        for (int r = 0; r < 16; ++r) {
            v[r] = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, scales[r] + g)), 16);
        }
        transpose(v);
        for (int64_t j = 0; j < 16 && g + j < padded; ++j) {
            _mm512_store_si512(tile.scales + (g + j) * kTileRows + column, v[j]);
        }
    }
}

template <class T>
static inline T load_as(const std::byte* source) {
    T value;
    std::memcpy(&value, source, sizeof(value));
    return value;
}

// Where one group's values lie in every record.
struct GroupOffsets {
    int64_t codes;
    int64_t scale;
    int64_t correction;
};

// Brings the step two groups on from the L2 into the L1 cache (5 % faster than leaving it to the hardware).
static inline void prefetch_step(const uint8_t* w) {
    constexpr int64_t kAhead = 2 * kGroup * kTileRows;
    _mm_prefetch(reinterpret_cast<const char*>(w + kAhead), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(w + kAhead + 64), _MM_HINT_T0);
}

// One group of 32 rows times NT tokens, added to that group's phase.
template <class Format, int NT>
static inline void multiply_group(const uint8_t* w, const float* w_scales, const std::byte* const (&records)[NT],
                                  const GroupOffsets& at, __m512 (&acc)[NT][2]) {
    __m512i isum[NT][2];
    for (int t = 0; t < NT; ++t) {
        isum[t][0] = isum[t][1] = _mm512_set1_epi32(load_as<int32_t>(records[t] + at.correction));
    }
#pragma GCC unroll 8
    for (int64_t s = 0; s < kSteps; ++s) {
        prefetch_step(w + s * kTileRows * 4);
        const __m512i w0 = _mm512_load_si512(w + s * kTileRows * 4);
        const __m512i w1 = _mm512_load_si512(w + s * kTileRows * 4 + 64);
        for (int t = 0; t < NT; ++t) {
            const __m512i a = _mm512_set1_epi32(load_as<int32_t>(records[t] + at.codes + step_offset<Format>(s)));
            isum[t][0] = _mm512_dpbusd_epi32(isum[t][0], w0, a);
            isum[t][1] = _mm512_dpbusd_epi32(isum[t][1], w1, a);
        }
    }
    const __m512 scales0 = _mm512_load_ps(w_scales), scales1 = _mm512_load_ps(w_scales + kLanes);
    for (int t = 0; t < NT; ++t) {
        const __m512 a = _mm512_set1_ps(load_as<float>(records[t] + at.scale));
        acc[t][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum[t][0]), _mm512_mul_ps(scales0, a), acc[t][0]);
        acc[t][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum[t][1]), _mm512_mul_ps(scales1, a), acc[t][1]);
    }
}

static inline __m512 sum_four(__m512 v0, __m512 v1, __m512 v2, __m512 v3) {
    return _mm512_add_ps(_mm512_add_ps(v0, v2), _mm512_add_ps(v1, v3));
}

template <class Format, int NT>
static inline void multiply_tile(const Tile& tile, const DotTask& task, int64_t row, int64_t token) {
    const std::byte* records[NT];
    __m512 acc[kPhases][NT][2];
    for (int t = 0; t < NT; ++t) {
        records[t] = task.records[token + t];
        for (int64_t phase = 0; phase < kPhases; ++phase) acc[phase][t][0] = acc[phase][t][1] = _mm512_setzero_ps();
    }
    const int64_t scales_at = padded_size(task.num_inputs);
    const int64_t corrections_at = scales_at + padded_groups(task.num_inputs) * static_cast<int64_t>(sizeof(float));
    const int64_t num_groups = padded_size(task.num_inputs) / kGroup;
    for (int64_t g = 0; g < num_groups; ++g) {
        const int64_t position = group_position(g) * static_cast<int64_t>(sizeof(float));
        const GroupOffsets at{.codes = g / 4 * kBlock + group_offset<Format>(g % 4),
                              .scale = scales_at + position,
                              .correction = corrections_at + position};
        multiply_group<Format, NT>(tile.codes + g * kGroup * kTileRows, tile.scales + g * kTileRows, records, at,
                                   acc[g % kPhases]);
    }
    for (int64_t half = 0; half < 2; ++half) {
        const int64_t left = task.num_rows - row - half * kLanes;
        const auto mask = static_cast<__mmask16>(left >= kLanes ? 0xffff : left > 0 ? (1 << left) - 1 : 0);
        for (int t = 0; t < NT; ++t) {
            __m512 sums[4];
            for (int b = 0; b < 4; ++b) {
                sums[b] = sum_four(acc[4 * b][t][half], acc[4 * b + 1][t][half], acc[4 * b + 2][t][half],
                                   acc[4 * b + 3][t][half]);
            }
            float* y = task.y + (token + t) * task.y_stride + row + half * kLanes;
            _mm512_mask_storeu_ps(y, mask, sum_four(sums[0], sums[1], sums[2], sums[3]));
        }
    }
}

template <class Format>
static inline void gemm(const DotTask& task) {
    const Tile tile(task.scratch, task.num_inputs);
    for (int64_t row = 0; row < task.num_rows; row += kTileRows) {
        expand_rows<Format>(task, row, tile, 0);
        expand_rows<Format>(task, row + kLanes, tile, kLanes);
        int64_t t = 0;
        for (; t + kTileTokens <= task.num_tokens; t += kTileTokens) {
            multiply_tile<Format, kTileTokens>(tile, task, row, t);
        }
        for (; t + 3 <= task.num_tokens; t += 3) multiply_tile<Format, 3>(tile, task, row, t);
        for (; t < task.num_tokens; ++t) multiply_tile<Format, 1>(tile, task, row, t);
    }
}

}  // namespace moonlet::avx512
