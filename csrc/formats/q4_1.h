#pragma once

#include "common/lanes.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// d * q + m: halves d and m, then nibbles as in Q4_0.
struct Q4_1 {
    static constexpr FormatKind kind{.minimums = true};
    static constexpr int64_t weights = 32, bytes = 20;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        span.d[group_lane(g)] = read_f16(block);
        span.dmin[group_lane(g)] = -read_f16(block + 2);
        split_nibbles(block + 4, half_of(span, g, 0), half_of(span, g, 1), 0);
    }
};

}  // namespace moonlet::MOONLET_LEVEL
