#pragma once

#include "formats/q4_k.h"

namespace moonlet::MOONLET_LEVEL {

// As Q4_K with a fifth bit: bit i of byte j is that of weight j of group i. The fifth bits come before the nibbles.
struct Q5_K {
    static constexpr FormatKind kind{.scales = true, .minimums = true};
    static constexpr int64_t weights = 256, bytes = 176;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block), read_f16(block + 2));
        set_six_bits(span, g, block + 4);
        for (int64_t i = 0; i < 8; ++i) {
            for (int64_t h = 0; h < 2; ++h) {
                const uint8_t *high = block + 16 + 16 * h, *low = block + 48 + i / 2 * 32 + 16 * h;
                int8_t* to = half_of(span, g + i, h);
                for (int j = 0; j < 16; ++j) {
                    to[j] = static_cast<int8_t>((low[j] >> (4 * (i % 2)) & 15) | (high[j] >> i & 1) << 4);
                }
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
