#pragma once

// Hand-written readers: a span of stored blocks straight into registers, as blocks/span_avx512.h wants it. A reader
// reads exactly the bytes of a whole span.

#include <type_traits>

#include "blocks/span_avx512.h"
#include "formats/all_formats.h"

namespace moonlet::avx512 {

// Format to reader: `read` expands a whole span, `zero_shift` says what it adds to codes.
//
// What has to pass through memory on its way, numbers to look up or masks, a reader names `Prepared` and writes by
// `prepare`, called one span ahead of `read`: a span is as much as a core looks ahead, so that loads which wait for
// stores of their own span would stop it (IQ1_S: 97 cycles a span, prepared ahead 67).
template <class Format>
struct Reader;

struct Nothing {};
template <class Format>
struct PreparedBy {
    using Type = Nothing;
};
template <class Format>
    requires requires { typename Reader<Format>::Prepared; }
struct PreparedBy<Format> {
    using Type = typename Reader<Format>::Prepared;
};
template <class Format>
using Prepared = typename PreparedBy<Format>::Type;

template <class Format>
[[gnu::always_inline]] static inline void prepare_span(const uint8_t* blocks, Prepared<Format>& prepared) {
    if constexpr (!std::is_same_v<Prepared<Format>, Nothing>) Reader<Format>::prepare(blocks, prepared);
}
template <class Format>
[[gnu::always_inline]] static inline Span read_span(const uint8_t* blocks, const Prepared<Format>& prepared) {
    if constexpr (std::is_same_v<Prepared<Format>, Nothing>) {
        return Reader<Format>::read(blocks);
    } else {
        return Reader<Format>::read(blocks, prepared);
    }
}

static inline __m128i load128(const void* source) { return _mm_loadu_si128(static_cast<const __m128i*>(source)); }
static inline __m256i load256(const void* source) { return _mm256_loadu_si256(static_cast<const __m256i*>(source)); }

// 16 bytes in every quarter.
static inline __m512i load_four_times(const void* source) { return _mm512_broadcast_i32x4(load128(source)); }

// 16 bytes from each of four places, `stride` apart.
static inline __m512i load_quarters(const uint8_t* source, int64_t stride) {
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(load128(source)), load128(source + stride), 1);
    const __m256i high =
        _mm256_inserti128_si256(_mm256_castsi128_si256(load128(source + 2 * stride)), load128(source + 3 * stride), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// One number for each quarter, in its four dwords.
static inline __m512i quarters(int q0, int q1, int q2, int q3) {
    return _mm512_set_epi32(q3, q3, q3, q3, q2, q2, q2, q2, q1, q1, q1, q1, q0, q0, q0, q0);
}

static inline __m512i low_bits(__m512i bytes, int mask) {
    return _mm512_and_si512(bytes, _mm512_set1_epi8(static_cast<char>(mask)));
}
// a | (b & mask)
static inline __m512i or_masked(__m512i a, __m512i b, int mask) {
    return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi8(static_cast<char>(mask)), 0xf8);
}
static inline __m512i low_nibbles(__m512i bytes) { return low_bits(bytes, 15); }
static inline __m512i high_nibbles(__m512i bytes) { return low_bits(_mm512_srli_epi32(bytes, 4), 15); }

// The factors of two super-blocks, each for eight groups, in the order of group_lane.
static inline __m512 load_factors(const uint8_t* first, const uint8_t* second) {
    const uint64_t halves = read_u16(first) * 0x10001ull | read_u16(second) * 0x10001ull << 32;
    return _mm512_broadcast_f32x4(_mm_cvtph_ps(_mm_cvtsi64_si128(static_cast<int64_t>(halves))));
}

// Sixteen bytes, one a group, to the order of group_lane.
static inline __m128i by_lane(__m128i bytes) {
    return _mm_shuffle_epi8(bytes, _mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0));
}
static inline __m128i two_words(uint64_t first, uint64_t second) {
    return _mm_set_epi64x(static_cast<int64_t>(second), static_cast<int64_t>(first));
}

// Bytes of two super-blocks, one for 16 weights, to those of first and of second halves in the order of group_lane.
struct Halves {
    __m128i first, second;
    Halves(__m128i block0, __m128i block1) {
        const __m128i order = _mm_set_epi8(15, 7, 13, 5, 11, 3, 9, 1, 14, 6, 12, 4, 10, 2, 8, 0);
        const __m128i sorted0 = _mm_shuffle_epi8(block0, order), sorted1 = _mm_shuffle_epi8(block1, order);
        first = _mm_unpacklo_epi16(sorted0, sorted1);
        second = _mm_unpackhi_epi16(sorted0, sorted1);
    }
};

// Halves that begin blocks of `kBytes`, to float32 in the order of group_lane; read_dword_factors takes the first two.
template <int kBytes>
static inline __m512i gather_heads(const uint8_t* blocks) {
    static_assert(kBytes >= 4);
    const __m512i groups = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    return _mm512_i32gather_epi32(_mm512_mullo_epi32(groups, _mm512_set1_epi32(kBytes)), blocks, 1);
}
static inline __m512 low_halves(__m512i dwords) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(dwords)); }
static inline __m512 high_halves(__m512i dwords) { return low_halves(_mm512_srli_epi32(dwords, 16)); }

// The same for blocks of 18 bytes without a gather: words 9 i of 128 bytes are the heads of eight blocks.
static inline __m512 heads_of_18(const uint8_t* blocks) {
    const __m512i order = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                           63, 27, 63, 27, 54, 18, 54, 18, 45, 9, 45, 9, 36, 0, 36, 0);
    const __m512i low = _mm512_maskz_permutex2var_epi16(0x3333, load512(blocks), order, load512(blocks + 64));
    const __m512i high = _mm512_maskz_permutex2var_epi16(0xcccc, load512(blocks + 144), order, load512(blocks + 208));
    return _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_or_si512(low, high)));
}

template <>
struct Reader<Q8_0> {
    static constexpr int zero_shift = 7;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
        const __m512i top = _mm512_set1_epi8(-128);
        // Words 17 p of 128 bytes are the heads of four blocks.
        const __m512i order = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                               51, 51, 51, 51, 34, 34, 34, 34, 17, 17, 17, 17, 0, 0, 0, 0);
        __m512i heads = _mm512_setzero_si512();
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const uint8_t* from = blocks + b * 4 * 34;
            const __m512i g01 = _mm512_inserti64x4(_mm512_castsi256_si512(load256(from + 2)), load256(from + 36), 1);
            const __m512i g23 = _mm512_inserti64x4(_mm512_castsi256_si512(load256(from + 70)), load256(from + 104), 1);
            out.codes[2 * b] = _mm512_xor_si512(_mm512_shuffle_i64x2(g01, g23, 0x88), top);
            out.codes[2 * b + 1] = _mm512_xor_si512(_mm512_shuffle_i64x2(g01, g23, 0xdd), top);
            const auto lanes = static_cast<__mmask32>(0x1111 << b);
            heads = _mm512_or_si512(heads,
                                    _mm512_maskz_permutex2var_epi16(lanes, load512(from), order, load512(from + 64)));
        }
        out.d = _mm512_cvtph_ps(_mm512_castsi512_si256(heads));
        return out;
    }
};

template <>
struct Reader<Q4_0> {
    static constexpr int zero_shift = 3;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const __m512i bytes = load_quarters(blocks + b * 72 + 2, 18);
            out.codes[2 * b] = low_nibbles(bytes);
            out.codes[2 * b + 1] = high_nibbles(bytes);
        }
        out.d = heads_of_18(blocks);
        return out;
    }
};

template <>
struct Reader<Q4_1> {
    static constexpr int zero_shift = -1;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const __m512i bytes = load_quarters(blocks + b * 80 + 4, 20);
            out.codes[2 * b] = low_nibbles(bytes);
            out.codes[2 * b + 1] = high_nibbles(bytes);
        }
        const __m512i heads = gather_heads<20>(blocks);
        out.d = low_halves(heads);
        out.dmin = _mm512_sub_ps(_mm512_set1_ps(-0.0f), high_halves(heads));
        return out;
    }
};

// Nibbles with fifth bits: 16 bits of each of four blocks for first halves, 16 for second ones.
static inline void five_bits(const uint8_t* high, const uint8_t* low, int64_t stride, __m512i& first, __m512i& second) {
    uint64_t first_bits = 0, second_bits = 0;
    for (int p = 0; p < 4; ++p) {
        first_bits |= static_cast<uint64_t>(read_u16(high + p * stride)) << (16 * p);
        second_bits |= static_cast<uint64_t>(read_u16(high + p * stride + 2)) << (16 * p);
    }
    const __m512i bytes = load_quarters(low, stride), fifth = _mm512_set1_epi8(16);
    first = low_nibbles(bytes);
    second = high_nibbles(bytes);
    first = _mm512_mask_add_epi8(first, first_bits, first, fifth);
    second = _mm512_mask_add_epi8(second, second_bits, second, fifth);
}

template <>
struct Reader<Q5_0> {
    static constexpr int zero_shift = 4;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const uint8_t* from = blocks + b * 88;
            five_bits(from + 2, from + 6, 22, out.codes[2 * b], out.codes[2 * b + 1]);
        }
        out.d = low_halves(gather_heads<22>(blocks));
        return out;
    }
};

template <>
struct Reader<Q5_1> {
    static constexpr int zero_shift = -1;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const uint8_t* from = blocks + b * 96;
            five_bits(from + 4, from + 8, 24, out.codes[2 * b], out.codes[2 * b + 1]);
        }
        const __m512i heads = gather_heads<24>(blocks);
        out.d = low_halves(heads);
        out.dmin = _mm512_sub_ps(_mm512_set1_ps(-0.0f), high_halves(heads));
        return out;
    }
};

// Sixteen levels, plus 128, in every quarter.
static inline __m512i biased_levels(const int8_t* levels) {
    return _mm512_xor_si512(load_four_times(levels), _mm512_set1_epi8(-128));
}

template <>
struct Reader<IQ4_NL> {
    static constexpr int zero_shift = 7;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
        const __m512i levels = biased_levels(kIq4Levels);
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const __m512i bytes = load_quarters(blocks + b * 72 + 2, 18);
            out.codes[2 * b] = _mm512_shuffle_epi8(levels, low_nibbles(bytes));
            out.codes[2 * b + 1] = _mm512_shuffle_epi8(levels, high_nibbles(bytes));
        }
        out.d = heads_of_18(blocks);
        return out;
    }
};

template <>
struct Reader<MXFP4> {
    static constexpr int zero_shift = 7;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
        const __m512i levels = biased_levels(kE2m1Doubled);
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const __m512i bytes = load_quarters(blocks + b * 68 + 1, 17);
            out.codes[2 * b] = _mm512_shuffle_epi8(levels, low_nibbles(bytes));
            out.codes[2 * b + 1] = _mm512_shuffle_epi8(levels, high_nibbles(bytes));
        }
        // 2 ** (e - 128), which for e of 0 and 1 lies below the normal range.
        const __m512i e = _mm512_and_si512(gather_heads<17>(blocks), _mm512_set1_epi32(255));
        const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
        const __m512i tiny = _mm512_sllv_epi32(_mm512_set1_epi32(0x200000), e);
        const __mmask16 is_tiny = _mm512_cmple_epu32_mask(e, _mm512_set1_epi32(1));
        out.d = _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, is_tiny, tiny));
        return out;
    }
};

}  // namespace moonlet::avx512
