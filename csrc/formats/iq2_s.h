#pragma once

#include "formats/signs.h"

namespace moonlet::MOONLET_LEVEL {

// (d / 8) * (2 s + 1) for 16 weights: a half; the low 8 bits of entry numbers; a sign bit a weight; 2 high bits four to
// a byte; 4-bit scales, low first.
struct IQ2_S {
    static constexpr FormatKind kind{.scales = true, .halves = true};
    static constexpr int64_t weights = 256, bytes = 82;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block) * 0.125f);
        for (int64_t i = 0; i < 8; ++i) {
            const uint8_t *low = block + 2 + 4 * i, *signs = block + 34 + 4 * i;
            const uint32_t high = block[66 + i];
            const uint8_t scales = block[74 + i];
            set_scales(span, g + i, 2 * (scales & 15) + 1, 2 * (scales >> 4) + 1);
            for (int64_t j = 0; j < 4; ++j) {
                const uint32_t entry = low[j] | (high >> (2 * j) & 3u) << 8;
                const uint64_t codes = negate_biased_where(kIq2SGrid.words[entry], kSignMasks.words[signs[j]]);
                put_eight(half_of(span, g + i, j / 2) + j % 2 * 8, codes);
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
