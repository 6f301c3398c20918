#pragma once

// The two register tiles that float matrix products are made of. Each result is one chain of fused multiply-adds in a
// fixed order (lanes.h), so its bits do not depend on the tile it fell into; the tile only decides what is reused.
//
// Tile sizes: AVX-512 has 32 registers of 16 floats; 24 accumulators leave room for operands, and more than the 8 that
// hide the latency of two FMA units. AVX2 has 16 registers of 8 floats, two to a Lanes; 6 accumulators take 12.

#include <cstddef>

#include "common/lanes.h"
#include "common/with_count.h"

namespace moonlet::MOONLET_LEVEL {

#if defined(__AVX512F__)
static constexpr int kAccumulators = 24;
static constexpr int kDotTokens = 6;
static constexpr int dot_rows_for(int tokens) { return tokens <= 3 ? 8 : 4; }
static constexpr int kAxpyColumns = 4;
#elif defined(__AVX2__)
static constexpr int kAccumulators = 6;
static constexpr int kDotTokens = 3;
static constexpr int dot_rows_for(int tokens) { return tokens == 1 ? 4 : 2; }
static constexpr int kAxpyColumns = 1;
#else
static constexpr int kAccumulators = 1;
static constexpr int kDotTokens = 1;
static constexpr int dot_rows_for(int) { return 1; }
static constexpr int kAxpyColumns = 1;
#endif
static constexpr int kAxpyRows = kAccumulators / kAxpyColumns;

// A matrix whose rows lie `stride` elements apart.
template <class T>
struct Rows {
    T* data;
    ptrdiff_t stride;
    T* operator[](int64_t row) const { return data + row * stride; }
    Rows from(int64_t row) const { return {(*this)[row], stride}; }
};

// y[t][r] = sum over k of w[r][k] * x[t][k] for R rows and T tokens, all accumulators in registers.
template <int R, int T, class W>
static inline void dot_tile(Rows<const W> w, Rows<const float> x, int64_t size, Rows<float> y) {
    Lanes acc[R][T];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) acc[r][t] = zero();
    }
    int64_t k = 0;
    for (; k + kLanes <= size; k += kLanes) {
        Lanes tokens[T];
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) tokens[t] = load(x[t] + k);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Lanes row = load(w[r] + k);
#pragma GCC unroll 8
            for (int t = 0; t < T; ++t) acc[r][t] = fma(row, tokens[t], acc[r][t]);
        }
    }
    if (k < size) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Lanes row = load_some(w[r] + k, size - k);
#pragma GCC unroll 8
            for (int t = 0; t < T; ++t) acc[r][t] = fma(row, load_some(x[t] + k, size - k), acc[r][t]);
        }
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
        if constexpr (R % 4 == 0) {
#pragma GCC unroll 8
            for (int r = 0; r < R; r += 4) sum4(y[t] + r, acc[r][t], acc[r + 1][t], acc[r + 2][t], acc[r + 3][t]);
        } else {
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) y[t][r] = sum(acc[r][t]);
        }
    }
}

// One token reads weights from memory, where short rows one after another, a single stream, come faster than several
// at once: 28 GB/s against 18 for rows of 1.5 KiB, 29 against 20 for 2 KiB (Zen 4 server core, two threads). Long rows
// are the other way round, 19 against 36 GB/s for 14 KiB, since a single row is one chain of additions.
static constexpr size_t kShortRowBytes = 2048;

template <int T, class W>
static void dot_rows_of(Rows<const W> w, int64_t num_rows, Rows<const float> x, int64_t size, Rows<float> y) {
    constexpr int R = dot_rows_for(T);
    int64_t r = 0;
    const bool one_stream = T == 1 && static_cast<size_t>(size) * sizeof(W) <= kShortRowBytes;
    if (!one_stream) {
        for (; r + R <= num_rows; r += R) dot_tile<R, T>(w.from(r), x, size, Rows<float>{y.data + r, y.stride});
    }
    for (; r < num_rows; ++r) dot_tile<1, T>(w.from(r), x, size, Rows<float>{y.data + r, y.stride});
}

// y[t][r] = sum over k of w[r][k] * x[t][k]: any number of rows and tokens. Rows in the inner loop: the tokens' part of
// x stays in cache while the rows pass by. Callers keep num_rows so small that the rows stay in cache for the next
// tokens.
template <class W>
static void dot(Rows<const W> w, int64_t num_rows, Rows<const float> x, int64_t num_tokens, int64_t size,
                Rows<float> y) {
    for (int64_t t = 0; t < num_tokens; t += kDotTokens) {
        const int64_t count = num_tokens - t < kDotTokens ? num_tokens - t : kDotTokens;
        with_count<kDotTokens>(count,
                               [&]<int tokens>() { dot_rows_of<tokens>(w, num_rows, x.from(t), size, y.from(t)); });
    }
}

// out[r][c] = out[r][c] * scale[r], then += p[r][j] * m[j][c] for j ascending, over R rows and C * 16 columns.
// No scale: out starts at 0. Some: the last columns are less than sixteen.
template <int R, int C, bool Some, class M>
static inline void axpy_tile(Rows<const float> p, int64_t size, Rows<const M> m, Rows<float> out, const float* scale,
                             int64_t columns) {
    Lanes acc[R][C];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) {
            acc[r][c] = zero();
            if (scale != nullptr) {
                const float* old = out[r] + c * kLanes;
                acc[r][c] = (Some ? load_some(old, columns) : load(old)) * fill(scale[r]);
            }
        }
    }
    for (int64_t j = 0; j < size; ++j) {
        Lanes row[C];
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) row[c] = Some ? load_some(m[j] + c * kLanes, columns) : load(m[j] + c * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Lanes factor = fill(p[r][j]);
#pragma GCC unroll 8
            for (int c = 0; c < C; ++c) acc[r][c] = fma(factor, row[c], acc[r][c]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) {
            if constexpr (Some) {
                store_some(out[r] + c * kLanes, acc[r][c], columns);
            } else {
                store(out[r] + c * kLanes, acc[r][c]);
            }
        }
    }
}

template <int R, class M>
static void axpy_rows_of(Rows<const float> p, int64_t size, Rows<const M> m, Rows<float> out, const float* scale,
                         int64_t columns) {
    constexpr int kWide = kAxpyColumns * kLanes;
    int64_t c = 0;
    const auto at = [&](int64_t column) { return Rows<const M>{m.data + column, m.stride}; };
    const auto out_at = [&](int64_t column) { return Rows<float>{out.data + column, out.stride}; };
    for (; c + kWide <= columns; c += kWide) {
        axpy_tile<R, kAxpyColumns, false>(p, size, at(c), out_at(c), scale, kWide);
    }
    for (; c + kLanes <= columns; c += kLanes) axpy_tile<R, 1, false>(p, size, at(c), out_at(c), scale, kLanes);
    if (c < columns) axpy_tile<R, 1, true>(p, size, at(c), out_at(c), scale, columns - c);
}

// The same for a single row, whose matrix comes from memory: read row after row as one stream, the sums in the L1
// cache between its rows; strips of columns, with the sums in registers, read 18 GB/s where this reads 27.
template <class M>
static inline void axpy_row(const float* p, int64_t size, Rows<const M> m, float* out, const float* scale,
                            int64_t columns) {
    const auto for_lanes = [&](const auto& all, const auto& some) __attribute__((always_inline)) {
        int64_t c = 0;
        for (; c + kLanes <= columns; c += kLanes) all(c);
        if (c < columns) some(c, columns - c);
    };
    const Lanes kept = fill(scale == nullptr ? 0.0f : *scale);
    for_lanes([&](int64_t c) { store(out + c, scale == nullptr ? zero() : load(out + c) * kept); },
              [&](int64_t c, int64_t rest) {
                  store_some(out + c, scale == nullptr ? zero() : load_some(out + c, rest) * kept, rest);
              });
    for (int64_t j = 0; j < size; ++j) {
        const Lanes factor = fill(p[j]);
        for_lanes([&](int64_t c) { store(out + c, fma(factor, load(m[j] + c), load(out + c))); },
                  [&](int64_t c, int64_t rest) {
                      store_some(out + c, fma(factor, load_some(m[j] + c, rest), load_some(out + c, rest)), rest);
                  });
    }
}

// out[r][c] = out[r][c] * scale[r] + sum over j < size of p[r][j] * m[j][c], j ascending, one fused step each, for any
// number of rows and columns. scale: one factor a row, or null to start from 0.
template <class M>
static inline void axpy(Rows<const float> p, int64_t num_rows, int64_t size, Rows<const M> m, Rows<float> out,
                        const float* scale, int64_t columns) {
    if (num_rows == 1) return axpy_row(p.data, size, m, out.data, scale, columns);
    for (int64_t r = 0; r < num_rows; r += kAxpyRows) {
        const int64_t count = num_rows - r < kAxpyRows ? num_rows - r : kAxpyRows;
        with_count<kAxpyRows>(count, [&]<int rows>() {
            axpy_rows_of<rows>(p.from(r), size, m, out.from(r), scale == nullptr ? nullptr : scale + r, columns);
        });
    }
}

}  // namespace moonlet::MOONLET_LEVEL
