#pragma once

#include "common/lanes.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// d * (digit - 1), five base-3 digits a byte: 32 bytes of five in runs of 32 weights, 16 bytes of five in runs of 16,
// 4 bytes of four in runs of 4, a half. A byte is ceil(value * 256 / 243) of a 5-digit number, so multiplying by 3
// pushes the next digit into bits 8 and 9.
struct TQ1_0 {
    static constexpr FormatKind kind{};
    static constexpr int64_t weights = 256, bytes = 54;
    static constexpr uint8_t powers[5] = {1, 3, 9, 27, 81};
    static inline int8_t digit(uint8_t byte, uint8_t power) {
        const auto shifted = static_cast<uint8_t>(byte * power);
        return static_cast<int8_t>((shifted * 3 >> 8) - 1);
    }
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        set_factors(span, g, read_f16(block + 52));
        for (int64_t half = 0; half < 15; ++half) {
            const uint8_t* from = half < 10 ? block + 16 * (half % 2) : block + 32;
            const uint8_t power = powers[half < 10 ? half / 2 : half - 10];
            int8_t* to = half_of(span, g + half / 2, half % 2);
            for (int j = 0; j < 16; ++j) to[j] = digit(from[j], power);
        }
        int8_t* last = half_of(span, g + 7, 1);
        for (int j = 0; j < 16; ++j) last[j] = digit(block[48 + j % 4], powers[j / 4]);
    }
};

}  // namespace moonlet::MOONLET_LEVEL
