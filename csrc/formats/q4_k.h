#pragma once

#include "common/lanes.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// Eight 6-bit scales and eight 6-bit minimums in 12 bytes. Bytes 0-3 hold scales 0-3 and, in their top bits, the top
// bits of scales 4-7; bytes 4-7 the same for the minimums; bytes 8-11 the low nibbles of scales and minimums 4-7.
struct SixBits {
    int32_t scale, minimum;
    SixBits(const uint8_t* packed, int64_t i) {
        if (i < 4) {
            scale = packed[i] & 63;
            minimum = packed[4 + i] & 63;
        } else {
            scale = (packed[4 + i] & 15) | packed[i - 4] >> 6 << 4;
            minimum = packed[4 + i] >> 4 | packed[i] >> 6 << 4;
        }
    }
};

static inline void set_six_bits(WeightSpan& span, int64_t g, const uint8_t* packed) {
    for (int64_t i = 0; i < 8; ++i) {
        const SixBits both(packed, i);
        set_scales(span, g + i, both.scale, both.scale);
        set_minimums(span, g + i, both.minimum, both.minimum);
    }
}

// (d * s) * q - dmin * m for 32 weights: halves d and dmin, scales and minimums, nibbles in runs of 32 bytes.
struct Q4_K {
    static constexpr FormatKind kind{.scales = true, .minimums = true};
    static constexpr int64_t weights = 256, bytes = 144;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block), read_f16(block + 2));
        set_six_bits(span, g, block + 4);
        for (int64_t i = 0; i < 8; ++i) {
            const int64_t pair = g + i / 2 * 2;
            split_nibbles(block + 16 + 16 * i, half_of(span, pair, i % 2), half_of(span, pair + 1, i % 2), 0);
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
