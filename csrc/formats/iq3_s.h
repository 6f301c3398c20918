#pragma once

#include "formats/signs.h"

namespace moonlet::MOONLET_LEVEL {

// d * (2 s + 1) for 32 weights: a half; the low 8 bits of entry numbers, each of 4 weights; their ninth bits, a byte a
// group; a sign bit a weight; 4-bit scales, low first.
struct IQ3_S {
    static constexpr FormatKind kind{.scales = true};
    static constexpr int64_t weights = 256, bytes = 110;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block));
        for (int64_t i = 0; i < 8; ++i) {
            const uint8_t *low = block + 2 + 8 * i, *signs = block + 74 + 4 * i;
            const uint32_t high = block[66 + i];
            const int32_t scale = 2 * (block[106 + i / 2] >> (i % 2 * 4) & 15) + 1;
            set_scales(span, g + i, scale, scale);
            for (int64_t j = 0; j < 4; ++j) {
                const uint64_t first = kIq3SGrid.words[low[2 * j] | (high >> (2 * j) & 1u) << 8];
                const uint64_t second = kIq3SGrid.words[low[2 * j + 1] | (high >> (2 * j + 1) & 1u) << 8];
                const uint64_t codes = negate_where(first | second << 32, kSignMasks.words[signs[j]]);
                put_eight(half_of(span, g + i, j / 2) + j % 2 * 8, codes);
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
