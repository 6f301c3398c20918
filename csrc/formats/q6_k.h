#pragma once

#include "common/lanes.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// (d * s) * (q - 32) for 16 weights, s int8: nibbles in runs of 64 bytes, high bit pairs in runs of 32, scales, a half.
struct Q6_K {
    static constexpr FormatKind kind{.scales = true, .halves = true};
    static constexpr int64_t weights = 256, bytes = 210;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        const auto* scales = reinterpret_cast<const int8_t*>(block + 192);
        set_factors(span, g, read_f16(block + 208));
        for (int64_t i = 0; i < 8; ++i) {
            set_scales(span, g + i, scales[2 * i], scales[2 * i + 1]);
            for (int64_t h = 0; h < 2; ++h) {
                const uint8_t* low = block + i / 4 * 64 + i % 2 * 32 + 16 * h;
                const uint8_t* high = block + 128 + i / 4 * 32 + 16 * h;
                int8_t* to = half_of(span, g + i, h);
                for (int j = 0; j < 16; ++j) {
                    const int four = low[j] >> (i % 4 / 2 * 4) & 15, two = high[j] >> (2 * (i % 4)) & 3;
                    to[j] = static_cast<int8_t>((four | two << 4) - 32);
                }
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
