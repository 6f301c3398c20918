#pragma once

#include "formats/iq4_nl.h"

namespace moonlet::MOONLET_LEVEL {

// 2 ** (e - 128) * level[q], the levels of E2M1 doubled so as to be whole; nibbles as in Q4_0.
// Source: OCP Microscaling Formats 1.0, section 5.4.
struct MXFP4 {
    static constexpr FormatKind kind{};
    static constexpr int64_t weights = 32, bytes = 17;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        const uint32_t e = block[0];
        // 2 ** -128 and 2 ** -127 are below the normal range.
        span.d[group_lane(g)] = std::bit_cast<float>(e > 1 ? (e - 1) << 23 : 0x200000u << e);
        look_up_nibbles(kE2m1Doubled, block + 1, half_of(span, g, 0), half_of(span, g, 1));
    }
};

}  // namespace moonlet::MOONLET_LEVEL
