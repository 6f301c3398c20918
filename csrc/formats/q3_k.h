#pragma once

#include "common/lanes.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// (d * (s - 32)) * q, q from -4 to 3: bit g of 32 bytes is the high bit of group g, clear where 4 is to be taken off;
// two low bits as in Q2_K; sixteen 6-bit scales as 8 bytes of nibbles and 4 bytes of high bit pairs; a half.
struct Q3_K {
    static constexpr FormatKind kind{.scales = true, .halves = true};
    static constexpr int64_t weights = 256, bytes = 110;
    static inline int32_t scale(const uint8_t* packed, int64_t i) {
        const int low = packed[i % 8] >> (i / 8 * 4) & 15, high = packed[8 + i % 4] >> (i / 4 * 2) & 3;
        return (low | high << 4) - 32;
    }
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        const uint8_t *high = block, *low = block + 32, *scales = block + 96;
        set_factors(span, g, read_f16(block + 108));
        for (int64_t i = 0; i < 8; ++i) {
            set_scales(span, g + i, scale(scales, 2 * i), scale(scales, 2 * i + 1));
            for (int64_t h = 0; h < 2; ++h) {
                const uint8_t *low_from = low + i / 4 * 32 + 16 * h, *high_from = high + 16 * h;
                int8_t* to = half_of(span, g + i, h);
                for (int j = 0; j < 16; ++j) {
                    to[j] = static_cast<int8_t>((low_from[j] >> (2 * (i % 4)) & 3) + (high_from[j] >> i & 1) * 4 - 4);
                }
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
