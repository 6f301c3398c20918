#pragma once

#include "formats/signs.h"

namespace moonlet::MOONLET_LEVEL {

// (d / 8) * (2 s + 1) for 32 weights in 8 bytes: four entry numbers, then 4 x 7 sign bits and a 4-bit scale; a half
// first.
struct IQ2_XXS {
    static constexpr FormatKind kind{.scales = true};
    static constexpr int64_t weights = 256, bytes = 66;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block) * 0.125f);
        for (int64_t i = 0; i < 8; ++i) {
            const uint8_t* group = block + 2 + 8 * i;
            const uint32_t tail = read_u32(group + 4);
            const auto scale = static_cast<int32_t>(2 * (tail >> 28) + 1);
            set_scales(span, g + i, scale, scale);
            for (int64_t j = 0; j < 4; ++j) {
                const uint64_t mask = kParitySignMasks.words[tail >> (7 * j) & 127];
                put_eight(half_of(span, g + i, j / 2) + j % 2 * 8,
                          negate_biased_where(kIq2XxsGrid.words[group[j]], mask));
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
