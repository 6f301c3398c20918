#pragma once

#include "formats/signs.h"

namespace moonlet::MOONLET_LEVEL {

// (d / 8) * (2 s + 1) for 16 weights: a half; a word for 8 weights with a 9-bit entry number and 7 sign bits; 4-bit
// scales, low first.
struct IQ2_XS {
    static constexpr FormatKind kind{.scales = true, .halves = true};
    static constexpr int64_t weights = 256, bytes = 74;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block) * 0.125f);
        for (int64_t i = 0; i < 8; ++i) {
            const uint8_t scales = block[66 + i];
            set_scales(span, g + i, 2 * (scales & 15) + 1, 2 * (scales >> 4) + 1);
            for (int64_t j = 0; j < 4; ++j) {
                const uint32_t word = read_u16(block + 2 + 8 * i + 2 * j);
                const uint64_t codes =
                    negate_biased_where(kIq2XsGrid.words[word & 511], kParitySignMasks.words[word >> 9]);
                put_eight(half_of(span, g + i, j / 2) + j % 2 * 8, codes);
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
