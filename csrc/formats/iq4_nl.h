#pragma once

#include "common/lanes.h"
#include "formats/codebooks.h"
#include "formats/span.h"

namespace moonlet::MOONLET_LEVEL {

// Sixteen bytes of nibbles, each the number of one of sixteen levels.
static inline void look_up_nibbles(const int8_t* levels, const uint8_t* bytes, int8_t* low, int8_t* high) {
#if defined(__AVX2__)
    const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels)), mask = _mm_set1_epi8(15);
    const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m128i low_idx = _mm_and_si128(packed, mask), high_idx = _mm_and_si128(_mm_srli_epi16(packed, 4), mask);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(low), _mm_shuffle_epi8(table, low_idx));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(high), _mm_shuffle_epi8(table, high_idx));
#else
    for (int i = 0; i < 16; ++i) low[i] = levels[bytes[i] & 15];
    for (int i = 0; i < 16; ++i) high[i] = levels[bytes[i] >> 4];
#endif
}

// d * level[q], sixteen uneven levels; nibbles as in Q4_0.
struct IQ4_NL {
    static constexpr FormatKind kind{};
    static constexpr int64_t weights = 32, bytes = 18;
    static inline void expand(const uint8_t* block, int64_t g, WeightSpan& span) {
        span.d[group_lane(g)] = read_f16(block);
        look_up_nibbles(kIq4Levels, block + 2, half_of(span, g, 0), half_of(span, g, 1));
    }
};

}  // namespace moonlet::MOONLET_LEVEL
