#pragma once

// Weights as magnitudes with signs apart, eight at a time in a 64-bit word.

#include "common/lanes.h"
#include "formats/codebooks.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// Negates the bytes that `mask` fills with ones. No magnitude is 0, so complement and one never carry.
static inline uint64_t negate_where(uint64_t magnitudes, uint64_t mask) {
    return (magnitudes ^ mask) + (mask & 0x0101010101010101u);
}

// The same of magnitudes plus 128.
static inline uint64_t negate_biased_where(uint64_t biased, uint64_t mask) {
    return negate_where(biased ^ 0x8080808080808080u, mask);
}

static inline void put_eight(int8_t* to, uint64_t codes) { std::memcpy(to, &codes, 8); }

}  // namespace moonlet::MOONLET_LEVEL
