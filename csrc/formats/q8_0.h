#pragma once

#include "common/lanes.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// d * q: a half and 32 int8.
struct Q8_0 {
    static constexpr FormatKind kind{};
    static constexpr int64_t weights = 32, bytes = 34;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        span.d[group_lane(g)] = read_f16(block);
        std::memcpy(half_of(span, g, 0), block + 2, 16);
        std::memcpy(half_of(span, g, 1), block + 18, 16);
    }
};

}  // namespace moonlet::MOONLET_LEVEL
