#pragma once

#include "formats/signs.h"

namespace moonlet::MOONLET_LEVEL {

// 8 * entry + 1, or - 1 where `negative`, of eight weights. Entries are held as 8 * value + 128, so that no byte
// carries; flipping the top bit takes the 128 away.
static inline uint64_t shifted_entry(uint32_t entry, bool negative) {
    const uint64_t ones = 0x0101010101010101u, biased = kIq1Grid.words[entry];
    return (negative ? biased - ones : biased + ones) ^ 0x8080808080808080u;
}

// (d / 8) * (2 s + 1) * (8 entry +- 1) for 32 weights: a half; the low 8 bits of entry numbers; for each group a word
// with 4 x 3 high bits, a 3-bit scale and the sign of the shift.
struct IQ1_S {
    static constexpr FormatKind kind{.scales = true};
    static constexpr int64_t weights = 256, bytes = 50;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block) * 0.125f);
        for (int64_t i = 0; i < 8; ++i) {
            const uint8_t* low = block + 2 + 4 * i;
            const uint32_t tail = read_u16(block + 34 + 2 * i);
            const auto scale = static_cast<int32_t>(2 * (tail >> 12 & 7) + 1);
            set_scales(span, g + i, scale, scale);
            for (int64_t j = 0; j < 4; ++j) {
                const uint32_t entry = low[j] | (tail >> (3 * j) & 7u) << 8;
                put_eight(half_of(span, g + i, j / 2) + j % 2 * 8, shifted_entry(entry, tail >> 15 != 0));
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
