#pragma once

#include "formats/q5_0.h"

namespace moonlet::MOONLET_LEVEL {

// d * q + m: halves d and m, the fifth bits, the nibbles.
struct Q5_1 {
    static constexpr FormatKind kind{.minimums = true};
    static constexpr int64_t weights = 32, bytes = 24;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        span.d[group_lane(g)] = read_f16(block);
        span.dmin[group_lane(g)] = -read_f16(block + 2);
        split_five_bits(block + 4, block + 8, g, span, 0);
    }
};

}  // namespace moonlet::MOONLET_LEVEL
