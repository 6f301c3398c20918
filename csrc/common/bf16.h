#pragma once

// bfloat16 as stored: the upper half of a float32. Everything here is `static`, since files compiled for different
// instruction sets include it and the linker must not keep one copy for all of them.

#include <bit>
#include <cstdint>

namespace moonlet {

struct bf16 {
    uint16_t bits;
};
static_assert(sizeof(bf16) == 2);

static inline float bf16_to_f32(bf16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

// Rounds to nearest, ties to even. NaN stays NaN (its payload is cut to the quiet bit).
static inline bf16 f32_to_bf16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return bf16{static_cast<uint16_t>((bits >> 16) | 0x40u)};
    return bf16{static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace moonlet
