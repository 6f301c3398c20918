#pragma once

#include "common/lanes.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// Nibbles as in Q4_0 with a fifth bit each, weight j's at bit j of a 32-bit word; `offset` is added.
static inline void split_five_bits(const uint8_t* high, const uint8_t* low, int64_t g, WeightSpan& span, int offset) {
    const uint32_t fifths = read_u32(high);
    int8_t *first = half_of(span, g, 0), *second = half_of(span, g, 1);
    for (uint32_t j = 0; j < 16; ++j) {
        const uint32_t first_bit = fifths >> j & 1u, second_bit = fifths >> (j + 16) & 1u;
        first[j] = static_cast<int8_t>(static_cast<int>((low[j] & 15u) | first_bit << 4) + offset);
        second[j] = static_cast<int8_t>(static_cast<int>((low[j] >> 4) | second_bit << 4) + offset);
    }
}

// d * (q - 16): a half, the fifth bits, the nibbles.
struct Q5_0 {
    static constexpr FormatKind kind{};
    static constexpr int64_t weights = 32, bytes = 22;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        span.d[group_lane(g)] = read_f16(block);
        split_five_bits(block + 2, block + 6, g, span, -16);
    }
};

}  // namespace moonlet::MOONLET_LEVEL
