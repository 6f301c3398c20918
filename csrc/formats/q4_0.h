#pragma once

#include "common/lanes.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// d * (q - 8): a half, then 16 bytes with weight j low and weight j + 16 high.
struct Q4_0 {
    static constexpr FormatKind kind{};
    static constexpr int64_t weights = 32, bytes = 18;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        span.d[group_lane(g)] = read_f16(block);
        split_nibbles(block + 2, half_of(span, g, 0), half_of(span, g, 1), -8);
    }
};

}  // namespace moonlet::MOONLET_LEVEL
