#pragma once

// Functions whose rounding every instruction set must share, in plain C++. math_avx2.h and math_avx512.h do the same
// steps on 8 and 16 lanes: change all three together; tests compare them bit for bit.

#include <bit>
#include <cmath>
#include <cstdint>

#include "common/bf16.h"

namespace moonlet::scalar {

// exp for x clamped to [-87, 88]: 2^n * exp(r), |r| <= ln2/2, Taylor to degree 7 (remainder below 6e-9 of the value).
// Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. The comparisons are written as minps and maxps
// behave, so that NaN stays NaN everywhere.
static inline float exp_f32(float x) {
    x = -87.0f > x ? -87.0f : x;
    x = 88.0f < x ? 88.0f : x;
    const float shifted = std::fma(x, 1.44269504f, 12582912.0f);
    const float n = shifted - 12582912.0f;
    float r = std::fma(n, -0.693145751953125f, x);
    r = std::fma(n, -1.42860677e-6f, r);
    float p = 1.98412698e-4f;
    p = std::fma(p, r, 1.38888889e-3f);
    p = std::fma(p, r, 8.33333333e-3f);
    p = std::fma(p, r, 4.16666667e-2f);
    p = std::fma(p, r, 1.66666667e-1f);
    p = std::fma(p, r, 0.5f);
    p = std::fma(p, r, 1.0f);
    p = std::fma(p, r, 1.0f);
    const uint32_t scale = (std::bit_cast<uint32_t>(shifted) - 0x4b400000u + 127u) << 23;
    return p * std::bit_cast<float>(scale);
}

static inline float sigmoid_f32(float x) { return 1.0f / (1.0f + exp_f32(0.0f - x)); }

static inline float silu_f32(float x) { return x / (1.0f + exp_f32(0.0f - x)); }

// The float32 nearest to x among bfloat16 values.
static inline float round_to_bf16(float x) { return bf16_to_f32(f32_to_bf16(x)); }

}  // namespace moonlet::scalar
