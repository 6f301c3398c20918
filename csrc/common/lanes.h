#pragma once

// Sixteen float32 lanes, the unit in which every float operation is written once and compiled per instruction set.
//
// A sum over k keeps lane k mod 16 apart, adds with fused multiply-add in ascending k, and folds the lanes by one fixed
// tree: i and i+8, then i and i+4, i and i+2, the last pair. Scalar, AVX2 and AVX-512 thus produce the same bits.
// The namespace follows the flags of the including file, so no two levels share a copy of a function.

#include <cstdint>

#include "common/bf16.h"
#include "common/f16.h"

#if defined(__AVX512BF16__)
#define MOONLET_LEVEL avx512bf16
#include "common/math_avx512.h"
namespace moonlet::avx512bf16 {
using namespace avx512;
}
#elif defined(__AVX512F__)
#define MOONLET_LEVEL avx512
#include "common/math_avx512.h"
#elif defined(__AVX2__)
#define MOONLET_LEVEL avx2
#include "common/math_avx2.h"
#else
#define MOONLET_LEVEL scalar
#include "common/math_scalar.h"
#endif

namespace moonlet::MOONLET_LEVEL {

static constexpr int kLanes = 16;

#if defined(__AVX512F__)

struct Lanes {
    __m512 v;
};

static inline Lanes zero() { return {_mm512_setzero_ps()}; }
static inline Lanes fill(float value) { return {_mm512_set1_ps(value)}; }
static inline Lanes load(const float* from) { return {_mm512_loadu_ps(from)}; }
static inline Lanes load(const bf16* from) { return {load_bf16(from)}; }
static inline Lanes load(const f16* from) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
}
static inline __mmask16 first(int64_t count) { return static_cast<__mmask16>((1u << count) - 1u); }
static inline Lanes load_some(const float* from, int64_t count) { return {_mm512_maskz_loadu_ps(first(count), from)}; }
static inline Lanes load_some(const bf16* from, int64_t count) {
    const __m256i bits = _mm256_maskz_loadu_epi16(first(count), from);
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
static inline Lanes load_some(const f16* from, int64_t count) {
    return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(count), from))};
}
static inline void store(float* to, Lanes a) { _mm512_storeu_ps(to, a.v); }
static inline void store_some(float* to, Lanes a, int64_t count) { _mm512_mask_storeu_ps(to, first(count), a.v); }
#if defined(__AVX512BF16__)
// In one instruction, which takes subnormal numbers for zero: as elsewhere under a FlushSubnormals.
static inline void store(bf16* to, Lanes a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(a.v)));
}
#else
static inline void store(bf16* to, Lanes a) { store_bf16(to, a.v); }
#endif

static inline Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
static inline Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
static inline Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
static inline Lanes operator/(Lanes a, Lanes b) { return {_mm512_div_ps(a.v, b.v)}; }
static inline Lanes fma(Lanes a, Lanes b, Lanes c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// a > b ? a : b, hence b where either is NaN.
static inline Lanes max(Lanes a, Lanes b) { return {_mm512_max_ps(a.v, b.v)}; }
// e^x, exactly 0 below -87: what a softmax ignores must vanish.
static inline Lanes exp(Lanes x) {
    return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, _mm512_set1_ps(-87.0f), _CMP_NLT_UQ), exp_f32(x.v))};
}
static inline Lanes sigmoid(Lanes x) { return {sigmoid_f32(x.v)}; }
static inline Lanes silu(Lanes x) { return {silu_f32(x.v)}; }

// Folds four accumulators at once into to[0..3], by the tree above.
static inline void sum4(float* to, Lanes a, Lanes b, Lanes c, Lanes d) {
    const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a.v, b.v, 0x44), _mm512_shuffle_f32x4(a.v, b.v, 0xee));
    const __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c.v, d.v, 0x44), _mm512_shuffle_f32x4(c.v, d.v, 0xee));
    __m512 s = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    s = _mm512_add_ps(s, _mm512_shuffle_ps(s, s, 0x4e));
    s = _mm512_add_ps(s, _mm512_shuffle_ps(s, s, 0xb1));
    const __m512i heads = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    _mm_storeu_ps(to, _mm512_castps512_ps128(_mm512_permutexvar_ps(heads, s)));
}

static inline __m256 low(Lanes a) { return _mm512_castps512_ps256(a.v); }
static inline __m256 high(Lanes a) { return _mm512_extractf32x8_ps(a.v, 1); }

#elif defined(__AVX2__)

struct Lanes {
    __m256 lo, hi;
};

static inline Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
static inline Lanes fill(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
static inline Lanes load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
static inline Lanes load(const bf16* from) { return {load_bf16(from), load_bf16(from + 8)}; }
static inline __m256 load_f16(const f16* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
static inline Lanes load(const f16* from) { return {load_f16(from), load_f16(from + 8)}; }
template <class T>
static inline Lanes load_some(const T* from, int64_t count) {
    T padded[kLanes] = {};
    for (int64_t i = 0; i < count; ++i) padded[i] = from[i];
    return load(padded);
}
static inline void store(float* to, Lanes a) {
    _mm256_storeu_ps(to, a.lo);
    _mm256_storeu_ps(to + 8, a.hi);
}
static inline void store(bf16* to, Lanes a) {
    store_bf16(to, a.lo);
    store_bf16(to + 8, a.hi);
}
static inline void store_some(float* to, Lanes a, int64_t count) {
    float all[kLanes];
    store(all, a);
    for (int64_t i = 0; i < count; ++i) to[i] = all[i];
}

static inline Lanes operator+(Lanes a, Lanes b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
static inline Lanes operator-(Lanes a, Lanes b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
static inline Lanes operator*(Lanes a, Lanes b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
static inline Lanes operator/(Lanes a, Lanes b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
static inline Lanes fma(Lanes a, Lanes b, Lanes c) {
    return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
static inline Lanes max(Lanes a, Lanes b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
static inline __m256 exp_or_zero(__m256 x) {
    return _mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_NLT_UQ), exp_f32(x));
}
static inline Lanes exp(Lanes x) { return {exp_or_zero(x.lo), exp_or_zero(x.hi)}; }
static inline Lanes sigmoid(Lanes x) { return {sigmoid_f32(x.lo), sigmoid_f32(x.hi)}; }
static inline Lanes silu(Lanes x) { return {silu_f32(x.lo), silu_f32(x.hi)}; }

static inline __m256 low(Lanes a) { return a.lo; }
static inline __m256 high(Lanes a) { return a.hi; }

static inline __m128 fold_to_four(Lanes a) {
    const __m256 eight = _mm256_add_ps(a.lo, a.hi);
    return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
}

static inline void sum4(float* to, Lanes a, Lanes b, Lanes c, Lanes d) {
    __m128 s0 = fold_to_four(a), s1 = fold_to_four(b), s2 = fold_to_four(c), s3 = fold_to_four(d);
    _MM_TRANSPOSE4_PS(s0, s1, s2, s3);
    _mm_storeu_ps(to, _mm_add_ps(_mm_add_ps(s0, s2), _mm_add_ps(s1, s3)));
}

#else

struct Lanes {
    float v[kLanes];
};

// Applies a function of floats lane by lane.
template <class Function, class... Args>
static inline Lanes each(const Function& function, const Args&... args) {
    Lanes result;
    for (int i = 0; i < kLanes; ++i) result.v[i] = function(args.v[i]...);
    return result;
}

static inline float to_float(float value) { return value; }
static inline float to_float(bf16 value) { return bf16_to_f32(value); }
static inline float to_float(f16 value) { return f16_to_f32(value); }

static inline Lanes fill(float value) {
    Lanes result;
    for (float& lane : result.v) lane = value;
    return result;
}
static inline Lanes zero() { return fill(0.0f); }
template <class T>
static inline Lanes load_some(const T* from, int64_t count) {
    Lanes result;
    for (int i = 0; i < kLanes; ++i) result.v[i] = i < count ? to_float(from[i]) : 0.0f;
    return result;
}
template <class T>
static inline Lanes load(const T* from) {
    return load_some(from, kLanes);
}
static inline void store_some(float* to, Lanes a, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = a.v[i];
}
static inline void store(float* to, Lanes a) { store_some(to, a, kLanes); }
static inline void store(bf16* to, Lanes a) {
    for (int i = 0; i < kLanes; ++i) to[i] = f32_to_bf16(a.v[i]);
}

static inline Lanes operator+(Lanes a, Lanes b) {
    return each([](float x, float y) { return x + y; }, a, b);
}
static inline Lanes operator-(Lanes a, Lanes b) {
    return each([](float x, float y) { return x - y; }, a, b);
}
static inline Lanes operator*(Lanes a, Lanes b) {
    return each([](float x, float y) { return x * y; }, a, b);
}
static inline Lanes operator/(Lanes a, Lanes b) {
    return each([](float x, float y) { return x / y; }, a, b);
}
static inline Lanes fma(Lanes a, Lanes b, Lanes c) {
    return each([](float x, float y, float z) { return std::fma(x, y, z); }, a, b, c);
}
static inline Lanes max(Lanes a, Lanes b) {
    return each([](float x, float y) { return x > y ? x : y; }, a, b);
}
static inline Lanes exp(Lanes x) {
    return each([](float y) { return y < -87.0f ? 0.0f : exp_f32(y); }, x);
}
static inline Lanes sigmoid(Lanes x) { return each(sigmoid_f32, x); }
static inline Lanes silu(Lanes x) { return each(silu_f32, x); }

static inline float sum(Lanes a) {
    for (int half = kLanes / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
    }
    return a.v[0];
}
static inline float highest(Lanes a) {
    for (int half = kLanes / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
    }
    return a.v[0];
}
static inline void sum4(float* to, Lanes a, Lanes b, Lanes c, Lanes d) {
    to[0] = sum(a);
    to[1] = sum(b);
    to[2] = sum(c);
    to[3] = sum(d);
}

#endif

#if defined(__AVX2__)

static inline float sum(Lanes a) {
    const __m256 eight = _mm256_add_ps(low(a), high(a));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float highest(Lanes a) {
    const __m256 eight = _mm256_max_ps(low(a), high(a));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

#endif

static inline void store_some(bf16* to, Lanes a, int64_t count) {
    bf16 all[kLanes];
    store(all, a);
    for (int64_t i = 0; i < count; ++i) to[i] = all[i];
}

static inline float exp(float x) {
    float all[kLanes];
    store(all, exp(fill(x)));
    return all[0];
}

}  // namespace moonlet::MOONLET_LEVEL
