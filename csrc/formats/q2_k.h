#pragma once

#include "common/lanes.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// (d * s) * q - dmin * m: a byte for 16 weights holds s low and m high; two bits a weight, four groups to a run of 32
// bytes; halves d and dmin.
struct Q2_K {
    static constexpr FormatKind kind{.scales = true, .halves = true, .minimums = true};
    static constexpr int64_t weights = 256, bytes = 84;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        const uint8_t *scales = block, *quants = block + 16;
        set_factors(span, g, read_f16(block + 80), read_f16(block + 82));
        for (int64_t i = 0; i < 8; ++i) {
            set_scales(span, g + i, scales[2 * i] & 15, scales[2 * i + 1] & 15);
            set_minimums(span, g + i, scales[2 * i] >> 4, scales[2 * i + 1] >> 4);
            for (int64_t h = 0; h < 2; ++h) {
                const uint8_t* from = quants + i / 4 * 32 + 16 * h;
                int8_t* to = half_of(span, g + i, h);
                for (int j = 0; j < 16; ++j) to[j] = static_cast<int8_t>(from[j] >> (2 * (i % 4)) & 3);
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
