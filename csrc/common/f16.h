#pragma once

// IEEE half precision as stored. `static` for the reason given in bf16.h.

#include <bit>
#include <cstdint>

namespace moonlet {

struct f16 {
    uint16_t bits;
};
static_assert(sizeof(f16) == 2);

static inline float f16_to_f32(f16 value) {
    const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
    const uint32_t exponent = (value.bits >> 10) & 0x1fu;
    const uint32_t significand = value.bits & 0x3ffu;
    if (exponent == 0) {  // zero or subnormal: significand * 2^-24, exact in float32
        const float magnitude = static_cast<float>(significand) * 0x1p-24f;
        return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
    }
    const uint32_t rebased = exponent == 31 ? 255u : exponent + 112u;
    return std::bit_cast<float>(sign | (rebased << 23) | (significand << 13));
}

// Rounds to nearest, ties to even. What is too large becomes the largest finite value, since an infinity in a cache
// would turn every later score into NaN; NaN stays NaN.
static inline f16 f32_to_f16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return f16{static_cast<uint16_t>(sign | 0x7e00u)};
    if (magnitude >= 0x477fe000u) return f16{static_cast<uint16_t>(sign | 0x7bffu)};  // 65504 and up
    if (magnitude < 0x38800000u) {                                                    // below 2^-14: subnormal
        // Adding 0.5 leaves a unit of 2^-24 in the last place, so the hardware rounds; the bits below 0.5 remain.
        const uint32_t rounded = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f);
        return f16{static_cast<uint16_t>(sign | (rounded - 0x3f000000u))};
    }
    const uint32_t rebased = magnitude - (112u << 23);
    return f16{static_cast<uint16_t>(sign | ((rebased + 0xfffu + ((rebased >> 13) & 1u)) >> 13))};
}

}  // namespace moonlet
