#pragma once

// Pairs of bfloat16, neighbours in memory: what BF16 dot products are made of. A product of packed matrices takes pairs
// of the summed dimension: a[r] holds rows of pairs, b[p] the pair p of sixteen columns after each other.
//
// One step is acc + a1 * b1, then + a0 * b0, each fused and rounded to nearest: what VDPBF16PS does. It also takes
// subnormals for zero, so callers hold a FlushSubnormals (flush_subnormals.h).

#include "common/tiles.h"

namespace moonlet::MOONLET_LEVEL {

// Registers: AVX-512 with BF16 keeps 25 accumulators, five vectors of b and one broadcast pair of a in 32. Without BF16
// a pair takes two registers: 20 + 8 + 2. AVX2 has 16 half as wide: 6 accumulators, 4 for b, 4 for a.
#if defined(__AVX512BF16__)
static constexpr int kPairRows = 5;
static constexpr int kPairVectors = 5;
#elif defined(__AVX512F__)
static constexpr int kPairRows = 5;
static constexpr int kPairVectors = 4;
#elif defined(__AVX2__)
static constexpr int kPairRows = 3;
static constexpr int kPairVectors = 1;
#else
static constexpr int kPairRows = 1;
static constexpr int kPairVectors = 1;
#endif

#if defined(__AVX512BF16__)

struct Pairs {
    __m512bh v;
};

static inline Pairs load_pairs(const bf16* from) { return {reinterpret_cast<__m512bh>(_mm512_loadu_si512(from))}; }
static inline Pairs fill_pairs(const bf16* from) {
    int pair;
    __builtin_memcpy(&pair, from, sizeof(pair));
    return {reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair))};
}
static inline Lanes dot(Pairs a, Pairs b, Lanes acc) { return {_mm512_dpbf16_ps(acc.v, a.v, b.v)}; }

#else

struct Pairs {
    Lanes even, odd;
};

#if defined(__AVX512F__)
static inline Pairs widen(__m512i pairs) {
    return {{_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16))},
            {_mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000))))}};
}
static inline Pairs load_pairs(const bf16* from) { return widen(_mm512_loadu_si512(from)); }
#elif defined(__AVX2__)
static inline __m256 even_of(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
static inline __m256 odd_of(__m256i pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
}
static inline Pairs load_pairs(const bf16* from) {
    const __m256i lo = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    const __m256i hi = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 16));
    return {{even_of(lo), even_of(hi)}, {odd_of(lo), odd_of(hi)}};
}
#else
static inline Pairs load_pairs(const bf16* from) {
    Pairs pairs;
    for (int i = 0; i < kLanes; ++i) {
        pairs.even.v[i] = bf16_to_f32(from[2 * i]);
        pairs.odd.v[i] = bf16_to_f32(from[2 * i + 1]);
    }
    return pairs;
}
#endif
static inline Pairs fill_pairs(const bf16* from) { return {fill(bf16_to_f32(from[0])), fill(bf16_to_f32(from[1]))}; }
static inline Lanes dot(const Pairs& a, const Pairs& b, Lanes acc) {
    return fma(a.even, b.even, fma(a.odd, b.odd, acc));
}

#endif

// y[r][c] = y[r][c] * scale[r] + sum over pairs p ascending of a[r][p] b[p][c], for R rows and V * 16 columns.
// scale null: y starts from zero.
template <int R, int V>
static inline void pair_tile(Rows<const bf16> a, Rows<const bf16> b, int64_t num_pairs, const float* scale,
                             Rows<float> y) {
    Lanes acc[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            acc[r][v] = scale == nullptr ? zero() : load(y[r] + v * kLanes) * fill(scale[r]);
        }
    }
    for (int64_t p = 0; p < num_pairs; ++p) {
        Pairs columns[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) columns[v] = load_pairs(b[p] + 2 * v * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Pairs row = fill_pairs(a[r] + 2 * p);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) acc[r][v] = dot(row, columns[v], acc[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) store(y[r] + v * kLanes, acc[r][v]);
    }
}

// pair_tile for any number of columns that is a multiple of 16.
template <int R>
static inline void pair_product(Rows<const bf16> a, Rows<const bf16> b, int64_t num_pairs, const float* scale,
                                int64_t columns, Rows<float> y) {
    for (int64_t c = 0; c < columns; c += kPairVectors * kLanes) {
        const int64_t left = (columns - c) / kLanes;
        with_count<kPairVectors>(left < kPairVectors ? left : kPairVectors, [&]<int vectors>() {
            pair_tile<R, vectors>(a, Rows<const bf16>{b.data + 2 * c, b.stride}, num_pairs, scale,
                                  Rows<float>{y.data + c, y.stride});
        });
    }
}

}  // namespace moonlet::MOONLET_LEVEL
