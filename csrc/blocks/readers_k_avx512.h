#pragma once

// Readers of the super-blocks that need no codebook.

#include "blocks/readers_avx512.h"

namespace moonlet::avx512 {

template <>
struct Reader<Q2_K> {
    static constexpr int zero_shift = -1;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
        const __m512i shifts = quarters(0, 2, 4, 6);
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            const __m512i bytes = load_four_times(blocks + i / 4 * 84 + 16 + 16 * (i % 4));
            out.codes[i] = low_bits(_mm512_srlv_epi32(bytes, shifts), 3);
        }
        const Halves halves(load128(blocks), load128(blocks + 84));
        const __m512i first = _mm512_cvtepu8_epi32(halves.first), second = _mm512_cvtepu8_epi32(halves.second);
        out.scales[0] = _mm512_and_si512(first, _mm512_set1_epi32(15));
        out.scales[1] = _mm512_and_si512(second, _mm512_set1_epi32(15));
        out.minimums[0] = _mm512_srli_epi32(first, 4);
        out.minimums[1] = _mm512_srli_epi32(second, 4);
        out.d = load_factors(blocks + 80, blocks + 164);
        out.dmin = load_factors(blocks + 82, blocks + 166);
        return out;
    }
};

template <>
struct Reader<TQ2_0> {
    static constexpr int zero_shift = 0;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
        const __m512i shifts = quarters(0, 2, 4, 6);
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            const __m512i bytes = load_four_times(blocks + i / 4 * 66 + 16 * (i % 4));
            out.codes[i] = low_bits(_mm512_srlv_epi32(bytes, shifts), 3);
        }
        out.d = load_factors(blocks + 64, blocks + 130);
        return out;
    }
};

template <>
struct Reader<Q3_K> {
    static constexpr int zero_shift = 2;
    // Sixteen 6-bit scales of one block.
    static inline __m128i scales(const uint8_t* packed) {
        uint64_t low;
        std::memcpy(&low, packed, sizeof(low));
        const uint64_t high = read_u32(packed + 8), pairs = 0x3030303030303030u, nibbles = 0x0f0f0f0f0f0f0f0fu;
        const uint64_t high01 = (high << 4 & 0x30303030u) | (high << 2 & 0x30303030u) << 32;
        const uint64_t high23 = (high & 0x30303030u) | (high >> 2 & 0x30303030u) << 32;
        const __m128i all = two_words((low & nibbles) | (high01 & pairs), (low >> 4 & nibbles) | (high23 & pairs));
        return _mm_sub_epi8(all, _mm_set1_epi8(32));
    }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
        const __m512i shifts = quarters(0, 2, 4, 6);
        // The bit of group p, and of group 4 + p, turned to position 2.
        const __m512i turns[2] = {quarters(2, 1, 0, 31), quarters(30, 29, 28, 27)};
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            const uint8_t* block = blocks + i / 4 * 110;
            const __m512i low = low_bits(_mm512_srlv_epi32(load_four_times(block + 32 + 16 * (i % 4)), shifts), 3);
            const __m512i high = _mm512_rolv_epi32(load_four_times(block + 16 * (i % 2)), turns[i % 4 / 2]);
            out.codes[i] = or_masked(low, high, 4);
        }
        const Halves halves(scales(blocks + 96), scales(blocks + 206));
        out.scales[0] = _mm512_cvtepi8_epi32(halves.first);
        out.scales[1] = _mm512_cvtepi8_epi32(halves.second);
        out.d = load_factors(blocks + 108, blocks + 218);
        return out;
    }
};

// Scales and minimums of Q4_K and Q5_K, eight of each in 12 bytes, as eight bytes of each.
struct SixBitWords {
    uint64_t scales, minimums;
    explicit SixBitWords(const uint8_t* packed) {
        const uint64_t a = read_u32(packed), b = read_u32(packed + 4), c = read_u32(packed + 8);
        const uint64_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x30303030;
        scales = (a & six) | ((c & four) | (a >> 2 & two)) << 32;
        minimums = (b & six) | ((c >> 4 & four) | (b >> 2 & two)) << 32;
    }
};

static inline void read_six_bits(const uint8_t* first, const uint8_t* second, Span& out) {
    const SixBitWords words0(first), words1(second);
    out.scales[0] = _mm512_cvtepu8_epi32(by_lane(two_words(words0.scales, words1.scales)));
    out.minimums[0] = _mm512_cvtepu8_epi32(by_lane(two_words(words0.minimums, words1.minimums)));
}

// Four groups out of two runs of 32 bytes, the halves `h`: each run's 16 bytes twice, then low and high nibbles.
template <int h>
static inline __m512i pairs_of_nibbles(__m512i runs) {
    const __m512i twice = _mm512_shuffle_i32x4(runs, runs, h == 0 ? 0xa0 : 0xf5);
    return low_bits(_mm512_srlv_epi32(twice, quarters(0, 4, 0, 4)), 15);
}

template <>
struct Reader<Q4_K> {
    static constexpr int zero_shift = -1;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const __m512i runs = load512(blocks + b / 2 * 144 + 16 + 64 * (b % 2));
            out.codes[2 * b] = pairs_of_nibbles<0>(runs);
            out.codes[2 * b + 1] = pairs_of_nibbles<1>(runs);
        }
        read_six_bits(blocks + 4, blocks + 148, out);
        out.d = load_factors(blocks, blocks + 144);
        out.dmin = load_factors(blocks + 2, blocks + 146);
        return out;
    }
};

template <>
struct Reader<Q5_K> {
    static constexpr int zero_shift = -1;
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
        // The bit of group p, and of group 4 + p, turned to position 4.
        const __m512i turns[2] = {quarters(4, 3, 2, 1), quarters(0, 31, 30, 29)};
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const uint8_t* block = blocks + b / 2 * 176;
            const __m512i runs = load512(block + 48 + 64 * (b % 2));
            const __m512i high0 = _mm512_rolv_epi32(load_four_times(block + 16), turns[b % 2]);
            const __m512i high1 = _mm512_rolv_epi32(load_four_times(block + 32), turns[b % 2]);
            out.codes[2 * b] = or_masked(pairs_of_nibbles<0>(runs), high0, 16);
            out.codes[2 * b + 1] = or_masked(pairs_of_nibbles<1>(runs), high1, 16);
        }
        read_six_bits(blocks + 4, blocks + 180, out);
        out.d = load_factors(blocks, blocks + 176);
        out.dmin = load_factors(blocks + 2, blocks + 178);
        return out;
    }
};

template <>
struct Reader<Q6_K> {
    static constexpr int zero_shift = 5;
    // Groups 0 and 1 are low nibbles of bytes 0-31 and 32-63 of a run, groups 2 and 3 the high ones.
    template <int h>
    static inline __m512i nibbles(__m512i run) {
        const __m512i halves = _mm512_shuffle_i32x4(run, run, h == 0 ? 0x88 : 0xdd);
        return low_bits(_mm512_srlv_epi32(halves, quarters(0, 0, 4, 4)), 15);
    }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
        const __m512i turns = quarters(4, 2, 0, 30);
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const uint8_t* block = blocks + b / 2 * 210;
            const __m512i run = load512(block + 64 * (b % 2));
            const uint8_t* high = block + 128 + 32 * (b % 2);
            out.codes[2 * b] = or_masked(nibbles<0>(run), _mm512_rolv_epi32(load_four_times(high), turns), 0x30);
            out.codes[2 * b + 1] =
                or_masked(nibbles<1>(run), _mm512_rolv_epi32(load_four_times(high + 16), turns), 0x30);
        }
        const Halves halves(load128(blocks + 192), load128(blocks + 402));
        out.scales[0] = _mm512_cvtepi8_epi32(halves.first);
        out.scales[1] = _mm512_cvtepi8_epi32(halves.second);
        out.d = load_factors(blocks + 208, blocks + 418);
        return out;
    }
};

template <>
struct Reader<IQ4_XS> {
    static constexpr int zero_shift = 7;
    // Eight 6-bit scales of one block as bytes, minus 32 yet to be taken off.
    static inline uint64_t scales(const uint8_t* block) {
        const uint64_t high = read_u16(block + 2), low = read_u32(block + 4);
        uint64_t words = 0;
        for (int i = 0; i < 8; ++i) words |= ((low >> (4 * i) & 15) | (high >> (2 * i) & 3) << 4) << (8 * i);
        return words;
    }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
        const __m512i levels = biased_levels(kIq4Levels);
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const __m512i bytes = load512(blocks + b / 2 * 136 + 8 + 64 * (b % 2));
            out.codes[2 * b] = _mm512_shuffle_epi8(levels, low_nibbles(bytes));
            out.codes[2 * b + 1] = _mm512_shuffle_epi8(levels, high_nibbles(bytes));
        }
        const __m128i bytes = _mm_sub_epi8(two_words(scales(blocks), scales(blocks + 136)), _mm_set1_epi8(32));
        out.scales[0] = _mm512_cvtepi8_epi32(by_lane(bytes));
        out.d = load_factors(blocks, blocks + 136);
        return out;
    }
};

template <>
struct Reader<TQ1_0> {
    static constexpr int zero_shift = 0;
    // digit(byte * power mod 256) for all bytes: with a byte on top of a word, the product drops what is too high and
    // a high multiplication by 3 leaves the digit.
    static inline __m512i digits(__m512i bytes, __m512i powers) {
        const __m512i even = _mm512_mullo_epi16(_mm512_slli_epi16(bytes, 8), powers);
        const __m512i odd = _mm512_mullo_epi16(_mm512_and_si512(bytes, _mm512_set1_epi16(-256)), powers);
        const __m512i odd_digits = _mm512_mulhi_epu16(odd, _mm512_set1_epi16(3 * 256));
        return _mm512_ternarylogic_epi32(_mm512_mulhi_epu16(even, _mm512_set1_epi16(3)), odd_digits,
                                         _mm512_set1_epi16(0x300), 0xf8);
    }
    static constexpr int twice(int power) { return power * 0x10001; }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks) {
        Span out;
        const __m512i low = quarters(twice(1), twice(3), twice(9), twice(27));
        const __m512i first = quarters(twice(81), twice(1), twice(9), twice(81));
        // The last 16 weights are four digits of four bytes.
        const __m512i second =
            _mm512_set_epi32(twice(27), twice(9), twice(3), twice(1), twice(27), twice(27), twice(27), twice(27),
                             twice(3), twice(3), twice(3), twice(3), twice(81), twice(81), twice(81), twice(81));
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) {
            const uint8_t* block = blocks + i * 54;
            const __m128i bytes0 = load128(block), bytes1 = load128(block + 16), bytes2 = load128(block + 32);
            const __m128i last = _mm_set1_epi32(static_cast<int>(read_u32(block + 48)));
            const __m512i others = _mm512_broadcast_i32x4(bytes2);
            out.codes[4 * i] = digits(_mm512_broadcast_i32x4(bytes0), low);
            out.codes[4 * i + 1] = digits(_mm512_broadcast_i32x4(bytes1), low);
            out.codes[4 * i + 2] = digits(_mm512_inserti32x4(others, bytes0, 0), first);
            out.codes[4 * i + 3] = digits(_mm512_inserti32x4(_mm512_inserti32x4(others, bytes1, 0), last, 3), second);
        }
        out.d = load_factors(blocks + 52, blocks + 106);
        return out;
    }
};

}  // namespace moonlet::avx512
