#pragma once

// Many tokens: 32 rows are expanded once into a tile that stays in the L2 cache, rows in lanes, and every block of six
// tokens runs over it, as in int8_groups/gemm_avx512.h. A tile is the same for every format: codes plus 128.

#include "blocks/kinds.h"
#include "blocks/readers_avx512.h"
#include "common/transpose_avx512.h"

namespace moonlet::avx512 {

constexpr int64_t kTileRows = kBlockTileRows;
constexpr int kTileTokens = 6;

// One span of 32 rows; groups by lane of a span. Codes as [block][half][group of block][step][row][4].
struct alignas(64) TileSpan {
    uint8_t codes[kSpanWeights / 4][kTileRows][4];
    int32_t scales[2][kSpanGroups][kTileRows];
    int32_t minimums[2][kSpanGroups][kTileRows];
    float d[kSpanGroups][kTileRows];
    float dmin[kSpanGroups][kTileRows];
};
static_assert(sizeof(TileSpan) == kTileRows * sizeof(WeightSpan) && kTileRows == 2 * kLanes);

// 64 bytes of each of 16 rows, `first_row` being those of the first, to 16 vectors over rows.
static inline void spread_rows(const void* first_row, __m512i flip, void* to) {
    __m512i v[16];
    const auto* from = static_cast<const std::byte*>(first_row);
    for (size_t r = 0; r < 16; ++r) v[r] = _mm512_xor_si512(load512(from + r * sizeof(WeightSpan)), flip);
    transpose(v);
    auto* target = static_cast<std::byte*>(to);
    for (size_t i = 0; i < 16; ++i) _mm512_store_si512(target + i * kTileRows * 4, v[i]);
}

// The same span of 16 rows into the tile's columns from `column` on.
template <FormatKind kind>
static inline void spread_span(const WeightSpan* rows, int64_t column, TileSpan& tile) {
    const __m512i none = _mm512_setzero_si512(), top = _mm512_set1_epi8(-128);
    for (int i = 0; i < 8; ++i) spread_rows(rows[0].codes + 64 * i, top, tile.codes[16 * i][column]);
    for (int h = 0; h < (kind.halves ? 2 : 1); ++h) {
        if constexpr (kind.scales) spread_rows(rows[0].scales[h], none, &tile.scales[h][0][column]);
        if constexpr (kind.scales && kind.minimums) {
            spread_rows(rows[0].minimums[h], none, &tile.minimums[h][0][column]);
        }
    }
    spread_rows(rows[0].d, none, &tile.d[0][column]);
    if constexpr (kind.minimums) spread_rows(rows[0].dmin, none, &tile.dmin[0][column]);
}

static inline __m512i fill_codes(const int8_t* four) {
    int32_t word;
    std::memcpy(&word, four, sizeof(word));
    return _mm512_set1_epi32(word);
}

// Adds the products of 16 codes of each row, the half `h` of a group, to `isum`.
template <int NT>
static inline void multiply_half(const uint8_t (*w)[kTileRows][4], const ActivationSpan* const (&a)[NT], int64_t at,
                                 __m512i (&isum)[NT][2]) {
#pragma GCC unroll 4
    for (int64_t s = 0; s < 4; ++s) {
        const __m512i w0 = _mm512_load_si512(w[s][0]), w1 = _mm512_load_si512(w[s][kLanes]);
        for (int t = 0; t < NT; ++t) {
            const __m512i four = fill_codes(a[t]->codes + at + 4 * s);
            isum[t][0] = _mm512_dpbusd_epi32(isum[t][0], w0, four);
            isum[t][1] = _mm512_dpbusd_epi32(isum[t][1], w1, four);
        }
    }
}

// One group of 32 rows times NT tokens, added to that group's phase.
template <FormatKind kind, int NT>
static inline void multiply_tile_group(const TileSpan& tile, const ActivationSpan* const (&a)[NT], int64_t b, int64_t p,
                                       __m512 (&acc)[NT][2]) {
    const int64_t lane = 4 * p + b, first = b * 128 + p * 16, second = first + 64;
    const auto row_vector = [](const auto(&values)[kTileRows], int v) { return load512(values + v * kLanes); };
    __m512i gsum[NT][2];
    if constexpr (kind.halves) {
        for (int t = 0; t < NT; ++t) gsum[t][0] = gsum[t][1] = _mm512_setzero_si512();
        for (int h = 0; h < 2; ++h) {
            __m512i isum[NT][2];
            for (int t = 0; t < NT; ++t) {
                isum[t][0] = isum[t][1] = _mm512_set1_epi32(a[t]->negated_half_sums[h][lane] * 128);
            }
            const int64_t at = h == 0 ? first : second;
            multiply_half<NT>(tile.codes + at / 4, a, at, isum);
            const __m512i scales0 = row_vector(tile.scales[h][lane], 0), scales1 = row_vector(tile.scales[h][lane], 1);
            for (int t = 0; t < NT; ++t) {
                gsum[t][0] = _mm512_add_epi32(gsum[t][0], _mm512_mullo_epi32(isum[t][0], scales0));
                gsum[t][1] = _mm512_add_epi32(gsum[t][1], _mm512_mullo_epi32(isum[t][1], scales1));
            }
        }
    } else {
        for (int t = 0; t < NT; ++t) {
            gsum[t][0] = gsum[t][1] = _mm512_set1_epi32(a[t]->negated_sums[lane] * 128);
        }
        multiply_half<NT>(tile.codes + first / 4, a, first, gsum);
        multiply_half<NT>(tile.codes + second / 4, a, second, gsum);
        if constexpr (kind.scales) {
            const __m512i scales0 = row_vector(tile.scales[0][lane], 0), scales1 = row_vector(tile.scales[0][lane], 1);
            for (int t = 0; t < NT; ++t) {
                gsum[t][0] = _mm512_mullo_epi32(gsum[t][0], scales0);
                gsum[t][1] = _mm512_mullo_epi32(gsum[t][1], scales1);
            }
        }
    }
    for (int v = 0; v < 2; ++v) {
        const __m512 d = _mm512_load_ps(tile.d[lane] + v * kLanes);
        for (int t = 0; t < NT; ++t) {
            const __m512 scale = _mm512_mul_ps(d, _mm512_set1_ps(a[t]->scales[lane]));
            acc[t][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(gsum[t][v]), scale, acc[t][v]);
        }
        if constexpr (kind.minimums) {
            const __m512 dmin = _mm512_load_ps(tile.dmin[lane] + v * kLanes);
            for (int t = 0; t < NT; ++t) {
                __m512i msum = _mm512_set1_epi32(a[t]->negated_sums[lane]);
                if constexpr (kind.halves) {
                    msum = _mm512_add_epi32(_mm512_mullo_epi32(_mm512_set1_epi32(a[t]->negated_half_sums[0][lane]),
                                                               row_vector(tile.minimums[0][lane], v)),
                                            _mm512_mullo_epi32(_mm512_set1_epi32(a[t]->negated_half_sums[1][lane]),
                                                               row_vector(tile.minimums[1][lane], v)));
                } else if constexpr (kind.scales) {
                    msum = _mm512_mullo_epi32(msum, row_vector(tile.minimums[0][lane], v));
                }
                const __m512 scale = _mm512_mul_ps(dmin, _mm512_set1_ps(a[t]->scales[lane]));
                acc[t][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(msum), scale, acc[t][v]);
            }
        }
    }
}

static inline __m512 sum_four(__m512 v0, __m512 v1, __m512 v2, __m512 v3) {
    return _mm512_add_ps(_mm512_add_ps(v0, v2), _mm512_add_ps(v1, v3));
}

template <FormatKind kind, int NT>
static inline void multiply_block_tile(const TileSpan* tile, const BlockTask& task, int64_t row, int64_t token) {
    __m512 acc[kSpanGroups][NT][2];  // by phase
    for (auto& phase : acc) {
        for (int t = 0; t < NT; ++t) phase[t][0] = phase[t][1] = _mm512_setzero_ps();
    }
    for (int64_t s = 0; s < num_spans(task.num_inputs); ++s) {
        const ActivationSpan* a[NT];
        for (int t = 0; t < NT; ++t) a[t] = task.records[token + t] + s;
        for (int64_t b = 0; b < 4; ++b) {
            for (int64_t p = 0; p < 4; ++p) multiply_tile_group<kind, NT>(tile[s], a, b, p, acc[4 * b + p]);
        }
    }
    for (int64_t v = 0; v < 2; ++v) {
        const int64_t left = task.num_rows - row - v * kLanes;
        const auto mask = static_cast<__mmask16>(left >= kLanes ? 0xffff : left > 0 ? (1 << left) - 1 : 0);
        for (int t = 0; t < NT; ++t) {
            __m512 sums[4];
            for (int b = 0; b < 4; ++b) {
                sums[b] = sum_four(acc[4 * b][t][v], acc[4 * b + 1][t][v], acc[4 * b + 2][t][v], acc[4 * b + 3][t][v]);
            }
            float* y = task.y + (token + t) * task.y_stride + row + v * kLanes;
            _mm512_mask_storeu_ps(y, mask, sum_four(sums[0], sums[1], sums[2], sums[3]));
        }
    }
}

// A span by way of its reader.
template <class Format>
static void expand_stored(const uint8_t* blocks, int64_t num_weights, WeightSpan& span) {
    constexpr int64_t span_bytes = kSpanWeights / Format::weights * Format::bytes;
    uint8_t rest[span_bytes];
    if (num_weights < kSpanWeights) {
        std::memset(rest, 0, sizeof(rest));
        std::memcpy(rest, blocks, static_cast<size_t>(num_weights / Format::weights * Format::bytes));
        blocks = rest;
    }
    const Span read = Reader<Format>::read(blocks);
    constexpr int zero_shift = Reader<Format>::zero_shift;
    const __m512i zero = _mm512_set1_epi8(static_cast<char>(zero_shift < 0 ? 0 : 1 << (zero_shift & 7)));
    for (int i = 0; i < 8; ++i) _mm512_store_si512(span.codes + 64 * i, _mm512_sub_epi8(read.codes[i], zero));
    for (int h = 0; h < (Format::kind.halves ? 2 : 1); ++h) {
        if constexpr (Format::kind.scales) _mm512_store_si512(span.scales[h], read.scales[h]);
        if constexpr (Format::kind.scales && Format::kind.minimums) {
            _mm512_store_si512(span.minimums[h], read.minimums[h]);
        }
    }
    _mm512_store_ps(span.d, read.d);
    if constexpr (Format::kind.minimums) _mm512_store_ps(span.dmin, read.dmin);
}

// expand(blocks, num_weights, span) as in format_table.h, perhaps a faster one.
template <FormatKind kind>
static inline void gemm_blocks(const BlockFormat& format, void (*expand)(const uint8_t*, int64_t, WeightSpan&),
                               const BlockTask& task) {
    const int64_t spans = num_spans(task.num_inputs), row_bytes = format.row_bytes(task.num_inputs);
    auto* tile = reinterpret_cast<TileSpan*>(task.scratch);
    auto* rows = reinterpret_cast<WeightSpan*>(tile + spans);  // 16 of them
    for (int64_t row = 0; row < task.num_rows; row += kTileRows) {
        for (int64_t column = 0; column < kTileRows; column += kLanes) {
            for (int64_t s = 0; s < spans; ++s) {
                const int64_t left = task.num_inputs - s * kSpanWeights;
                for (int64_t r = 0; r < kLanes; ++r) {
                    // Rows past the last repeat it.
                    const int64_t idx = row + column + r < task.num_rows ? row + column + r : task.num_rows - 1;
                    expand(task.rows + idx * row_bytes + s * format.span_bytes(),
                           left < kSpanWeights ? left : kSpanWeights, rows[r]);
                }
                spread_span<kind>(rows, column, tile[s]);
            }
        }
        int64_t t = 0;
        for (; t + kTileTokens <= task.num_tokens; t += kTileTokens) {
            multiply_block_tile<kind, kTileTokens>(tile, task, row, t);
        }
        for (; t + 3 <= task.num_tokens; t += 3) multiply_block_tile<kind, 3>(tile, task, row, t);
        for (; t < task.num_tokens; ++t) multiply_block_tile<kind, 1>(tile, task, row, t);
    }
}

}  // namespace moonlet::avx512
