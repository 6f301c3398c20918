#pragma once

// Many tokens, as in blocks/gemm_avx512.h: the codes of 32 rows are expanded once into a tile that stays in the L2
// cache, rows in lanes, and every block of six tokens runs over it, phase after phase. A tile of 32 rows of K = 7168 is
// 224 KB of codes and 28 KB of scales.
//
// Registers: 2 * 6 integer accumulators, so that dpbusd (latency 4 to 5 cycles, one a cycle) is never waited for, and
// 12 of their phase, two of weights and one of activations; six record pointers leave the general registers room.

#include "common/math_avx512.h"
#include "common/row_tile_avx512.h"
#include "common/transpose_avx512.h"
#include "int8_groups/formats_avx512.h"

namespace moonlet::avx512 {

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

// Groups in the order of their phases, and within a phase of their spans: codes as [group][step][32 rows][4], scales as
// [group][32 rows] float32.
struct Tile {
    static constexpr int64_t kGroupBytes = kTileRows * (kGroup + static_cast<int64_t>(sizeof(float)));

    std::byte* memory;
    int64_t spans;

    std::byte* codes(int64_t g) const { return memory + (g % kPhases * spans + g / kPhases) * kGroupBytes; }
    float* scales(int64_t g) const { return reinterpret_cast<float*>(codes(g) + kTileRows * kGroup); }
};

// Block b of 16 rows, up to four groups of it, into the tile's columns from `column` on. In a 4-bit block dword 4p + s
// holds steps s and s + 4 of its group p.
template <class Format>
static inline void expand_block(const uint8_t* const (&rows)[kTileLanes], int64_t b, int64_t num_groups,
                                const Tile& tile, int64_t column);

template <>
inline void expand_block<Int4>(const uint8_t* const (&rows)[kTileLanes], int64_t b, int64_t num_groups,
                               const Tile& tile, int64_t column) {
    __m512i v[16];
    for (int r = 0; r < 16; ++r) v[r] = load512_part(rows[r] + b * 64, num_groups * 16);
    transpose(v);
    for (int64_t j = 0; j < 4 * num_groups; ++j) {
        const Int4::Codes codes = Int4::split(v[j]);
        std::byte* target = tile.codes(4 * b + j / 4) + (j % 4 * kTileRows + column) * 4;
        _mm512_store_si512(target, codes.low);
        _mm512_store_si512(target + 4 * kTileRows * 4, codes.high);
    }
}

template <>
inline void expand_block<Int8>(const uint8_t* const (&rows)[kTileLanes], int64_t b, int64_t num_groups,
                               const Tile& tile, int64_t column) {
    for (int64_t half = 0; 2 * half < num_groups; ++half) {
        __m512i v[16];
        for (int r = 0; r < 16; ++r) v[r] = load512_part(rows[r] + b * 128 + half * 64, num_groups * 32 - half * 64);
        transpose(v);
        for (int64_t j = 0; j < 16; ++j) {
            std::byte* group = tile.codes(4 * b + 2 * half + j / 8);
            _mm512_store_si512(group + (j % 8 * kTileRows + column) * 4, v[j]);
        }
    }
}

// 16 rows from `row` on into the tile's columns from `column` on; rows past the last repeat it.
template <class Format>
static inline void expand_rows(const DotTask& task, int64_t row, const Tile& tile, int64_t column) {
    const int64_t num_groups = task.num_inputs / kGroup;
    const int64_t row_bytes = task.num_inputs * Format::block_bytes / kBlock;
    const uint8_t* rows[kTileLanes];
    const bf16* scales[kTileLanes];
    for (int64_t r = 0; r < kTileLanes; ++r) {
        const int64_t idx = row + r < task.num_rows ? row + r : task.num_rows - 1;
        rows[r] = task.rows.codes + idx * row_bytes;
        scales[r] = task.rows.scales + idx * num_groups;
    }
    for (int64_t b = 0; 4 * b < num_groups; ++b) {
        const int64_t left = num_groups - 4 * b;
        expand_block<Format>(rows, b, left < 4 ? left : 4, tile, column);
    }
    for (int64_t g = 0; g < num_groups; g += 16) {
        // 16 rows of up to 16 scales, widened and then transposed like codes.
        const int64_t left = num_groups - g;
        const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
        __m512i v[16];
        for (int r = 0; r < 16; ++r) {
            v[r] = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, scales[r] + g)), 16);
        }
        transpose(v);
        for (int64_t j = 0; j < 16 && j < left; ++j) _mm512_store_si512(tile.scales(g + j) + column, v[j]);
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

// One group of 32 rows times NT tokens, added to its phase.
template <class Format, int NT>
[[gnu::always_inline]] static inline void multiply_group(const std::byte* w, const float* w_scales,
                                                         const std::byte* const (&records)[NT], const GroupOffsets& at,
                                                         PhaseSums<NT>& acc) {
    __m512i isum[NT][2];
    for (int t = 0; t < NT; ++t) {
        isum[t][0] = isum[t][1] = _mm512_set1_epi32(load_as<int32_t>(records[t] + at.correction));
    }
#pragma GCC unroll 8
    for (int64_t s = 0; s < kSteps; ++s) {
        const __m512i w0 = _mm512_load_si512(w + s * kTileRows * 4);
        const __m512i w1 = _mm512_load_si512(w + s * kTileRows * 4 + 64);
        for (int t = 0; t < NT; ++t) {
            const __m512i a = _mm512_set1_epi32(load_as<int32_t>(records[t] + at.codes + step_offset<Format>(s)));
            isum[t][0] = _mm512_dpbusd_epi32(isum[t][0], w0, a);
            isum[t][1] = _mm512_dpbusd_epi32(isum[t][1], w1, a);
        }
    }
    const __m512 scales0 = _mm512_load_ps(w_scales), scales1 = _mm512_load_ps(w_scales + kTileLanes);
    for (int t = 0; t < NT; ++t) {
        const __m512 a = _mm512_set1_ps(load_as<float>(records[t] + at.scale));
        acc[t][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum[t][0]), _mm512_mul_ps(scales0, a), acc[t][0]);
        acc[t][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum[t][1]), _mm512_mul_ps(scales1, a), acc[t][1]);
    }
}

template <class Format, int NT>
static inline void multiply_group_tile(const Tile& tile, const DotTask& task, int64_t row, int64_t token,
                                       Ahead& ahead) {
    const std::byte* records[NT];
    for (int t = 0; t < NT; ++t) records[t] = task.records[token + t];
    const int64_t num_groups = task.num_inputs / kGroup, scales_at = padded_size(task.num_inputs);
    const int64_t corrections_at = scales_at + padded_groups(task.num_inputs) * static_cast<int64_t>(sizeof(float));
    const auto add_phase = [&](int64_t phase, PhaseSums<NT>& sums) __attribute__((always_inline)) {
        for (int64_t g = phase; g < num_groups; g += kPhases) {
            const int64_t position = group_position(g) * static_cast<int64_t>(sizeof(float));
            const GroupOffsets at{.codes = g / 4 * kBlock + group_offset<Format>(g % 4),
                                  .scale = scales_at + position,
                                  .correction = corrections_at + position};
            multiply_group<Format, NT>(tile.codes(g), tile.scales(g), records, at, sums);
        }
    };
    multiply_tile<NT>(task.num_rows - row, task.y + token * task.y_stride + row, task.y_stride, ahead, add_phase);
}

template <class Format>
static inline void gemm(const DotTask& task) {
    const Tile tile{task.scratch, padded_groups(task.num_inputs) / kPhases};
    const auto make_tile = [&](int64_t row) {
        expand_rows<Format>(task, row, tile, 0);
        expand_rows<Format>(task, row + kTileLanes, tile, kTileLanes);
    };
    for_tiles(task, make_tile, [&]<int NT>(int64_t row, int64_t token, Ahead& ahead) {
        multiply_group_tile<Format, NT>(tile, task, row, token, ahead);
    });
}

}  // namespace moonlet::avx512
