#pragma once

#include "formats/iq4_nl.h"

namespace moonlet::MOONLET_LEVEL {

// (d * (s - 32)) * level[q] for 32 weights: a half; 2 high bits of eight 6-bit scales, their nibbles; nibbles as in
// Q4_0.
struct IQ4_XS {
    static constexpr FormatKind kind{.scales = true};
    static constexpr int64_t weights = 256, bytes = 136;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block));
        const uint32_t high = read_u16(block + 2), low = read_u32(block + 4);
        for (int64_t i = 0; i < 8; ++i) {
            const auto scale = static_cast<int32_t>((low >> (4 * i) & 15u) | (high >> (2 * i) & 3u) << 4) - 32;
            set_scales(span, g + i, scale, scale);
            look_up_nibbles(kIq4Levels, block + 8 + 16 * i, half_of(span, g + i, 0), half_of(span, g + i, 1));
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
