#pragma once

// What the products of many tokens share whose weights are a tile of 32 rows in lanes, whatever the tile is made from.

#include <immintrin.h>

#include <algorithm>

#include "common/ahead.h"
#include "common/with_count.h"

namespace moonlet::avx512 {

constexpr int64_t kTileRows = 32;  // two vectors
constexpr int64_t kTileLanes = 16;
constexpr int kTileTokens = 6;
constexpr int64_t kTilePhases = 16;

// The sums of one phase, rows in lanes.
template <int NT>
using PhaseSums = __m512[NT][2];

// y[t * y_stride + r] for the rows of a tile that exist: the phases of each added in the order of blocks/blocks.h.
template <int NT>
static inline void store_rows(const PhaseSums<NT> (&phases)[kTilePhases], int64_t num_rows, float* y,
                              int64_t y_stride) {
    const auto sum_four = [](__m512 v0, __m512 v1, __m512 v2, __m512 v3) {
        return _mm512_add_ps(_mm512_add_ps(v0, v2), _mm512_add_ps(v1, v3));
    };
    for (int64_t v = 0; v < 2; ++v) {
        const int64_t left = std::clamp<int64_t>(num_rows - v * kTileLanes, 0, kTileLanes);
        const auto mask = static_cast<__mmask16>((1 << left) - 1);
        for (int t = 0; t < NT; ++t) {
            __m512 sums[4];
            for (int b = 0; b < 4; ++b) {
                sums[b] = sum_four(phases[4 * b][t][v], phases[4 * b + 1][t][v], phases[4 * b + 2][t][v],
                                   phases[4 * b + 3][t][v]);
            }
            _mm512_mask_storeu_ps(y + t * y_stride + v * kTileLanes, mask,
                                  sum_four(sums[0], sums[1], sums[2], sums[3]));
        }
    }
}

// One tile times NT tokens. The sixteen phases are taken one after another, so that a phase's sums stay in registers
// while `add_phase(phase, sums)` runs over the groups that belong to it.
template <int NT, class AddPhase>
[[gnu::always_inline]] static inline void multiply_tile(int64_t num_rows, float* y, int64_t y_stride, Ahead& ahead,
                                                        const AddPhase& add_phase) {
    PhaseSums<NT> phases[kTilePhases];
    for (int64_t phase = 0; phase < kTilePhases; ++phase) {
        PhaseSums<NT> sums;
        for (int t = 0; t < NT; ++t) sums[t][0] = sums[t][1] = _mm512_setzero_ps();
        ahead.step();
        add_phase(phase, sums);
        for (int t = 0; t < NT; ++t) {
            phases[phase][t][0] = sums[t][0];
            phases[phase][t][1] = sums[t][1];
        }
    }
    store_rows<NT>(phases, num_rows, y, y_stride);
}

// All rows and tokens of a task: expand(row) makes the tile of 32 rows from `row` on, and multiply<count>(row, token,
// ahead) multiplies it by `count` tokens.
template <class Task, class Expand, class Multiply>
static inline void for_tiles(const Task& task, const Expand& expand, const Multiply& multiply) {
    const auto parts = [](int64_t count, int64_t size) { return (count + size - 1) / size; };
    Ahead ahead(task.ahead, parts(task.num_rows, kTileRows) * parts(task.num_tokens, kTileTokens) * kTilePhases);
    for (int64_t row = 0; row < task.num_rows; row += kTileRows) {
        expand(row);
        for (int64_t t = 0; t < task.num_tokens; t += kTileTokens) {
            with_count<kTileTokens>(std::min<int64_t>(kTileTokens, task.num_tokens - t),
                                    [&]<int count>() { multiply.template operator()<count>(row, t, ahead); });
        }
    }
}

}  // namespace moonlet::avx512
