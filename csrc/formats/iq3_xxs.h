#pragma once

#include "formats/signs.h"

namespace moonlet::MOONLET_LEVEL {

// (d / 4) * (2 s + 1) for 32 weights: a half; eight entry numbers a group, each of 4 weights; for each group a word
// with 4 x 7 sign bits and a 4-bit scale.
struct IQ3_XXS {
    static constexpr FormatKind kind{.scales = true};
    static constexpr int64_t weights = 256, bytes = 98;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block) * 0.25f);
        for (int64_t i = 0; i < 8; ++i) {
            const uint8_t* entries = block + 2 + 8 * i;
            const uint32_t tail = read_u32(block + 66 + 4 * i);
            const auto scale = static_cast<int32_t>(2 * (tail >> 28) + 1);
            set_scales(span, g + i, scale, scale);
            for (int64_t j = 0; j < 4; ++j) {
                const uint64_t first = kIq3XxsGrid.words[entries[2 * j]],
                               second = kIq3XxsGrid.words[entries[2 * j + 1]];
                const uint64_t codes =
                    negate_where(first | second << 32, kParitySignMasks.words[tail >> (7 * j) & 127]);
                put_eight(half_of(span, g + i, j / 2) + j % 2 * 8, codes);
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
