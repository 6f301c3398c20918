#pragma once

#include "common/lanes.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// d * (q - 1), ternary in two bits a weight as in Q2_K; a half at the end.
struct TQ2_0 {
    static constexpr FormatKind kind{};
    static constexpr int64_t weights = 256, bytes = 66;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block + 64));
        for (int64_t i = 0; i < 8; ++i) {
            for (int64_t h = 0; h < 2; ++h) {
                const uint8_t* from = block + i / 4 * 32 + 16 * h;
                int8_t* to = half_of(span, g + i, h);
                for (int j = 0; j < 16; ++j) to[j] = static_cast<int8_t>((from[j] >> (2 * (i % 4)) & 3) - 1);
            }
        }
    }
};

}  // namespace moonlet::MOONLET_LEVEL
