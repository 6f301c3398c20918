#pragma once

// Many tokens: 32 rows are expanded once into a tile that stays in the L2 cache, rows in lanes, and every block of six
// tokens runs over it. A tile is the same for every format: codes plus 128.
//
// The sixteen phases of a row are taken one after another, each over all spans, so that its sums stay in registers: 12
// of them, 12 of a group's integers, two of weights and one of activations. The tile lies in that order too, as one
// stream.

#include "blocks/kinds.h"
#include "blocks/readers_avx512.h"
#include "common/row_tile_avx512.h"
#include "common/transpose_avx512.h"

namespace moonlet::avx512 {

constexpr int64_t kTileVector = kTileRows * 4;  // bytes of one dword of every row
static_assert(kTileRows == kBlockTileRows);

// Where the values of a group of 32 rows lie in its part of the tile, in bytes: codes as [half][step][row][4], then one
// dword a row of what the kind has.
template <FormatKind kind>
struct TileGroup {
    static constexpr int64_t num_scales = kind.scales ? (kind.halves ? 2 : 1) : 0;
    static constexpr int64_t half = 4 * kTileVector;
    static constexpr int64_t d = 2 * half;
    static constexpr int64_t scales = d + kTileVector;
    static constexpr int64_t minimums = scales + num_scales * kTileVector;
    static constexpr int64_t dmin = minimums + (kind.minimums ? num_scales : 0) * kTileVector;
    static constexpr int64_t bytes = dmin + (kind.minimums ? 1 : 0) * kTileVector;
    static_assert(kSpanGroups * bytes <= kTileRows * static_cast<int64_t>(sizeof(WeightSpan)));
};

// The tile of all spans: [group of a span][span][TileGroup].
template <FormatKind kind>
struct Tile {
    std::byte* memory;
    int64_t spans;

    std::byte* group(int64_t g, int64_t s) const { return memory + (g * spans + s) * TileGroup<kind>::bytes; }
};

// 64 bytes of each of 16 rows, `first_row` being those of the first, as 16 vectors over rows.
struct SpreadRows {
    __m512i v[16];
    SpreadRows(const void* first_row, __m512i flip) {
        const auto* from = static_cast<const std::byte*>(first_row);
        for (size_t r = 0; r < 16; ++r) v[r] = _mm512_xor_si512(load512(from + r * sizeof(WeightSpan)), flip);
        transpose(v);
    }
};

// Span s of 16 rows into the tile's columns from `column` on.
template <FormatKind kind>
static inline void spread_span(const WeightSpan* rows, int64_t column, int64_t s, const Tile<kind>& tile) {
    using Group = TileGroup<kind>;
    const __m512i none = _mm512_setzero_si512(), top = _mm512_set1_epi8(-128);
    for (int i = 0; i < 8; ++i) {
        const SpreadRows codes(rows[0].codes + 64 * i, top);
        for (int p = 0; p < 4; ++p) {
            std::byte* half = tile.group(i / 2 * 4 + p, s) + i % 2 * Group::half + column * 4;
            for (int step = 0; step < 4; ++step) _mm512_store_si512(half + step * kTileVector, codes.v[4 * p + step]);
        }
    }
    const auto spread_values = [&](const void* first_row, int64_t at) {
        const SpreadRows values(first_row, none);
        for (int g = 0; g < kSpanGroups; ++g) {
            _mm512_store_si512(tile.group(g, s) + at + column * 4, values.v[group_lane(g)]);
        }
    };
    spread_values(rows[0].d, Group::d);
    for (int64_t h = 0; h < Group::num_scales; ++h) {
        spread_values(rows[0].scales[h], Group::scales + h * kTileVector);
        if constexpr (kind.minimums) spread_values(rows[0].minimums[h], Group::minimums + h * kTileVector);
    }
    if constexpr (kind.minimums) spread_values(rows[0].dmin, Group::dmin);
}

// One number of a token's record, in every lane: that of a group, `lane` being its offset among its span's.
template <class T, size_t N>
static inline __m512i fill(const T (&numbers)[N], int64_t offset) {
    int32_t word;
    std::memcpy(&word, reinterpret_cast<const std::byte*>(numbers) + offset, sizeof(word));
    return _mm512_set1_epi32(word);
}

// Adds the products of 16 codes of each row, which meet those at `offset` of the activations, to `isum`.
template <int NT>
static inline void multiply_half(const std::byte* w, const ActivationSpan* const (&a)[NT], int64_t offset,
                                 __m512i (&isum)[NT][2]) {
#pragma GCC unroll 4
    for (int64_t s = 0; s < 4; ++s) {
        const __m512i w0 = load512(w + s * kTileVector), w1 = load512(w + s * kTileVector + 64);
        for (int t = 0; t < NT; ++t) {
            const __m512i four = fill(a[t]->codes, offset + 4 * s);
            isum[t][0] = _mm512_dpbusd_epi32(isum[t][0], w0, four);
            isum[t][1] = _mm512_dpbusd_epi32(isum[t][1], w1, four);
        }
    }
}

// One group of 32 rows times NT tokens, added to its phase. The group's activations lie at `codes` among the codes of
// `a` and at `lane` among the values, both in bytes.
template <FormatKind kind, int NT>
[[gnu::always_inline]] static inline void multiply_tile_group(const std::byte* w, const ActivationSpan* const (&a)[NT],
                                                              int64_t codes, int64_t lane, PhaseSums<NT>& acc) {
    using Group = TileGroup<kind>;
    const auto values = [w](int64_t at, int v) { return load512(w + at + v * 64); };
    // Codes are 128 too large, which costs 128 times the sum of the activations.
    const auto correction = [](__m512i negated_sum) { return _mm512_slli_epi32(negated_sum, 7); };
    __m512i gsum[NT][2];
    if constexpr (kind.halves) {
        for (int t = 0; t < NT; ++t) gsum[t][0] = gsum[t][1] = _mm512_setzero_si512();
        for (int h = 0; h < 2; ++h) {
            __m512i isum[NT][2];
            for (int t = 0; t < NT; ++t) {
                isum[t][0] = isum[t][1] = correction(fill(a[t]->negated_half_sums[h], lane));
            }
            multiply_half<NT>(w + h * Group::half, a, codes + h * 64, isum);
            for (int v = 0; v < 2; ++v) {
                const __m512i scales = values(Group::scales + h * kTileVector, v);
                for (int t = 0; t < NT; ++t) {
                    gsum[t][v] = _mm512_add_epi32(gsum[t][v], _mm512_mullo_epi32(isum[t][v], scales));
                }
            }
        }
    } else {
        for (int t = 0; t < NT; ++t) gsum[t][0] = gsum[t][1] = correction(fill(a[t]->negated_sums, lane));
        multiply_half<NT>(w, a, codes, gsum);
        multiply_half<NT>(w + Group::half, a, codes + 64, gsum);
        if constexpr (kind.scales) {
            for (int v = 0; v < 2; ++v) {
                const __m512i scales = values(Group::scales, v);
                for (int t = 0; t < NT; ++t) gsum[t][v] = _mm512_mullo_epi32(gsum[t][v], scales);
            }
        }
    }
    for (int v = 0; v < 2; ++v) {
        const __m512 d = _mm512_castsi512_ps(values(Group::d, v));
        for (int t = 0; t < NT; ++t) {
            const __m512 scale = _mm512_mul_ps(d, _mm512_castsi512_ps(fill(a[t]->scales, lane)));
            acc[t][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(gsum[t][v]), scale, acc[t][v]);
        }
        if constexpr (kind.minimums) {
            const __m512 dmin = _mm512_castsi512_ps(values(Group::dmin, v));
            for (int t = 0; t < NT; ++t) {
                __m512i msum = fill(a[t]->negated_sums, lane);
                if constexpr (kind.halves) {
                    msum = _mm512_setzero_si512();
                    for (int h = 0; h < 2; ++h) {
                        const __m512i minimums = values(Group::minimums + h * kTileVector, v);
                        const __m512i sum = fill(a[t]->negated_half_sums[h], lane);
                        msum = _mm512_add_epi32(msum, _mm512_mullo_epi32(sum, minimums));
                    }
                } else if constexpr (kind.scales) {
                    msum = _mm512_mullo_epi32(msum, values(Group::minimums, v));
                }
                const __m512 scale = _mm512_mul_ps(dmin, _mm512_castsi512_ps(fill(a[t]->scales, lane)));
                acc[t][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(msum), scale, acc[t][v]);
            }
        }
    }
}

template <FormatKind kind, int NT>
static inline void multiply_block_tile(const Tile<kind>& tile, const BlockTask& task, int64_t row, int64_t token,
                                       Ahead& ahead) {
    const ActivationSpan* a[NT];
    for (int t = 0; t < NT; ++t) a[t] = task.records[token + t];
    const auto add_phase = [&](int64_t g, PhaseSums<NT>& sums) __attribute__((always_inline)) {
        const int64_t codes = g / 4 * 128 + g % 4 * 16, lane = 4 * group_lane(g);
        for (int64_t s = 0; s < tile.spans; ++s) {
            const auto at = s * static_cast<int64_t>(sizeof(ActivationSpan));
            multiply_tile_group<kind, NT>(tile.group(g, s), a, at + codes, at + lane, sums);
        }
    };
    multiply_tile<NT>(task.num_rows - row, task.y + token * task.y_stride + row, task.y_stride, ahead, add_phase);
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
    Prepared<Format> prepared;
    prepare_span<Format>(blocks, prepared);
    const Span read = read_span<Format>(blocks, prepared);
    constexpr int zero_shift = Reader<Format>::zero_shift;
    __m512i zero = _mm512_set1_epi8(static_cast<char>(zero_shift < 0 ? 0 : 1 << (zero_shift & 7)));
    for (int i = 0; i < 8; ++i) {
        // A quarter of codes belongs to one group, whose dword is that of its block in the same quarter.
        if constexpr (zero_shift == kZerosOfGroups) {
            zero = _mm512_shuffle_epi8(read.zeros, _mm512_set1_epi8(static_cast<char>(i / 2 * 4)));
        }
        _mm512_store_si512(span.codes + 64 * i, _mm512_sub_epi8(read.codes[i], zero));
    }
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
    // 16 rows of a span lie behind the tile.
    auto* rows = reinterpret_cast<WeightSpan*>(task.scratch) + spans * kTileRows;
    const Tile<kind> tile{task.scratch, spans};
    const auto make_tile = [&](int64_t row) {
        for (int64_t column = 0; column < kTileRows; column += kLanes) {
            for (int64_t s = 0; s < spans; ++s) {
                const int64_t left = std::min(task.num_inputs - s * kSpanWeights, kSpanWeights);
                for (int64_t r = 0; r < kLanes; ++r) {
                    // Rows past the last repeat it.
                    const int64_t idx = std::min(row + column + r, task.num_rows - 1);
                    expand(task.rows + idx * row_bytes + s * format.span_bytes(), left, rows[r]);
                }
                spread_span<kind>(rows, column, s, tile);
            }
        }
    };
    for_tiles(task, make_tile, [&]<int NT>(int64_t row, int64_t token, Ahead& ahead) {
        multiply_block_tile<kind, NT>(tile, task, row, token, ahead);
    });
}

}  // namespace moonlet::avx512
