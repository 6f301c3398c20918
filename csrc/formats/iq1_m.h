#pragma once

#include "formats/iq1_s.h"

namespace moonlet::MOONLET_LEVEL {

// As IQ1_S with a scale for 16 weights and the shift's sign for 8: the low 8 bits of entry numbers; nibbles of three
// high bits and the sign; four words of 4 x 3-bit scales, whose top nibbles together are the half.
struct IQ1_M {
    static constexpr FormatKind kind{.scales = true, .halves = true};
    static constexpr int64_t weights = 256, bytes = 56;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        uint32_t words[4], d = 0;
        for (int i = 0; i < 4; ++i) {
            words[i] = read_u16(block + 48 + 2 * i);
            d |= words[i] >> 12 << (4 * i);
        }
        set_factors(span, g, f16_to_f32(f16{static_cast<uint16_t>(d)}) * 0.125f);
        for (int64_t i = 0; i < 8; ++i) {
            const uint32_t pair = words[i / 2] >> (6 * (i % 2));
            set_scales(span, g + i, static_cast<int32_t>(2 * (pair & 7) + 1),
                       static_cast<int32_t>(2 * (pair >> 3 & 7) + 1));
            for (int64_t j = 0; j < 4; ++j) {
                const uint32_t nibble = block[32 + 2 * i + j / 2] >> (4 * (j % 2));
                const uint32_t entry = block[4 * i + j] | (nibble & 7u) << 8;
                put_eight(half_of(span, g + i, j / 2) + j % 2 * 8, shifted_entry(entry, (nibble & 8u) != 0));
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
