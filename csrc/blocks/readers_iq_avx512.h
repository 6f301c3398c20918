#pragma once

// Readers of the super-blocks with codebooks. Entry numbers, signs and scales are worked out for the whole span in
// vectors; entries of eight weights are then loaded one by one, entries of four come out of a table in registers.

#include <type_traits>

#include "blocks/readers_avx512.h"

namespace moonlet::avx512 {

// Sixteen dwords, one a group, to the order of group_lane.
static inline __m512i dwords_by_lane(__m512i groups) {
    return _mm512_permutexvar_epi32(_mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0), groups);
}

static inline __m512i twice_plus_one(__m512i dwords) {
    return _mm512_or_si512(_mm512_add_epi32(dwords, dwords), _mm512_set1_epi32(1));
}

// Two super-blocks' worth of 32 bytes as one vector.
static inline __m512i both(const uint8_t* block0, const uint8_t* block1) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(load256(block0)), load256(block1), 1);
}

// Sets the eighth bit of bytes whose other seven have an odd number of ones.
static inline __m512i with_parity(__m512i sevens) {
    const __m128i odd = _mm_set_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0);
    const __m512i nibbles = low_nibbles(_mm512_xor_si512(sevens, _mm512_srli_epi32(sevens, 4)));
    return _mm512_or_si512(sevens, _mm512_shuffle_epi8(_mm512_broadcast_i32x4(odd), nibbles));
}

// What was stored is loaded again from memory: the compiler would else take the numbers out of the vector one by one,
// two or three instructions each.
template <class Number, size_t N>
[[gnu::always_inline]] static inline void keep_in_memory(Number (&numbers)[N]) {
    asm volatile("" : "+m"(numbers));
}

// Entry numbers, four a group, groups ascending.
struct Numbers {
    alignas(64) uint16_t of[64];
};

// A bit for each of the span's weights, in the order of its codes.
struct Bits {
    alignas(64) uint64_t of[8];

    // Four bytes a group, groups ascending: a bit for each weight.
    [[gnu::always_inline]] void set(__m512i bytes) {
        const __m512i order = _mm512_set_epi16(31, 29, 27, 25, 30, 28, 26, 24, 23, 21, 19, 17, 22, 20, 18, 16,  //
                                               15, 13, 11, 9, 14, 12, 10, 8, 7, 5, 3, 1, 6, 4, 2, 0);
        _mm512_store_si512(of, _mm512_permutexvar_epi16(order, bytes));
        keep_in_memory(of);
    }
    // Of tails of 4 x 7 sign bits and a 4-bit scale, one a group.
    [[gnu::always_inline]] void set_from_tails(__m512i tails);
};

struct NumbersAndBits {
    Numbers numbers;
    Bits negative;
};

// Magnitudes plus 128, or 128 minus them where a bit is set, of magnitudes plus 128.
static inline __m512i with_signs(__m512i biased, uint64_t negative) {
    return _mm512_mask_sub_epi8(biased, negative, _mm512_setzero_si512(), biased);
}

// Entries of eight weights for codes[2b + h]: two of each group p, whose numbers begin `stride` after those of p - 1.
template <int stride = 4, class Number>
[[gnu::always_inline]] static inline __m512i load_entries(const uint64_t* words, const Number* numbers) {
    __m128i quarter[4];
    for (int p = 0; p < 4; ++p) {
        // Both numbers in one load, a fifth faster: loads are what a reader of codebooks is short of.
        using Pair = std::conditional_t<sizeof(Number) == 1, uint16_t, uint32_t>;
        Pair stored;
        std::memcpy(&stored, numbers + stride * p, sizeof(stored));
        const uint32_t pair = stored;
        const auto* first = reinterpret_cast<const __m128i*>(words + static_cast<Number>(pair));
        const auto* second = reinterpret_cast<const __m64*>(words + (pair >> (8 * sizeof(Number))));
        quarter[p] = _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(_mm_loadl_epi64(first)), second));
    }
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(quarter[0]), quarter[1], 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(quarter[2]), quarter[3], 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// Sixteen nibbles of each of two blocks, low first, as scales 2 s + 1 of halves.
static inline void read_nibble_scales(const uint8_t* block0, const uint8_t* block1, Span& out) {
    const auto spread = [](const uint8_t* from) {
        const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)), mask = _mm_set1_epi8(15);
        return _mm_unpacklo_epi8(_mm_and_si128(bytes, mask), _mm_and_si128(_mm_srli_epi16(bytes, 4), mask));
    };
    const Halves halves(spread(block0), spread(block1));
    out.scales[0] = twice_plus_one(_mm512_cvtepu8_epi32(halves.first));
    out.scales[1] = twice_plus_one(_mm512_cvtepu8_epi32(halves.second));
}

static inline __m512 scaled(__m512 d, float factor) { return _mm512_mul_ps(d, _mm512_set1_ps(factor)); }

[[gnu::always_inline]] inline void Bits::set_from_tails(__m512i tails) {
    __m512i sevens = _mm512_and_si512(tails, _mm512_set1_epi32(0x7f));
    sevens = _mm512_ternarylogic_epi32(sevens, _mm512_slli_epi32(tails, 1), _mm512_set1_epi32(0x7f00), 0xf8);
    sevens = _mm512_ternarylogic_epi32(sevens, _mm512_slli_epi32(tails, 2), _mm512_set1_epi32(0x7f0000), 0xf8);
    sevens = _mm512_ternarylogic_epi32(sevens, _mm512_slli_epi32(tails, 3), _mm512_set1_epi32(0x7f000000), 0xf8);
    set(with_parity(sevens));
}

template <>
struct Reader<IQ2_XXS> {
    static constexpr int zero_shift = 7;
    using Prepared = Bits;
    static inline __m512i tails(const uint8_t* blocks) {
        const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
        return _mm512_permutex2var_epi32(load512(blocks + 2), odd, load512(blocks + 68));
    }
    [[gnu::always_inline]] static inline void prepare(const uint8_t* blocks, Prepared& negative) {
        negative.set_from_tails(tails(blocks));
    }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks, const Prepared& negative) {
        Span out;
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            const uint8_t* numbers = blocks + i / 4 * 66 + 2 + i / 2 % 2 * 32 + i % 2 * 2;
            out.codes[i] = with_signs(load_entries<8>(kIq2XxsGrid.words, numbers), negative.of[i]);
        }
        out.scales[0] = twice_plus_one(_mm512_srli_epi32(dwords_by_lane(tails(blocks)), 28));
        out.d = scaled(load_factors(blocks, blocks + 66), 0.125f);
        return out;
    }
};

template <>
struct Reader<IQ2_XS> {
    static constexpr int zero_shift = 7;
    using Prepared = NumbersAndBits;
    [[gnu::always_inline]] static inline void prepare(const uint8_t* blocks, Prepared& prepared) {
        __m256i sevens[2];
        for (int i = 0; i < 2; ++i) {
            const __m512i words = load512(blocks + 74 * i + 2);
            _mm512_store_si512(prepared.numbers.of + 32 * i, _mm512_and_si512(words, _mm512_set1_epi16(511)));
            sevens[i] = _mm512_cvtepi16_epi8(_mm512_srli_epi16(words, 9));
        }
        prepared.negative.set(with_parity(_mm512_inserti64x4(_mm512_castsi256_si512(sevens[0]), sevens[1], 1)));
        keep_in_memory(prepared.numbers.of);
    }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks, const Prepared& prepared) {
        Span out;
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            out.codes[i] = with_signs(load_entries(kIq2XsGrid.words, prepared.numbers.of + i / 2 * 16 + i % 2 * 2),
                                      prepared.negative.of[i]);
        }
        read_nibble_scales(blocks + 66, blocks + 140, out);
        out.d = scaled(load_factors(blocks, blocks + 74), 0.125f);
        return out;
    }
};

// Entry numbers of one block: 32 low bytes, and for each group a qword whose four words hold the upper bits, shifted
// by `shifts`.
static inline void store_numbers(const uint8_t* low, __m512i high, __m512i shifts, int mask, uint16_t* numbers) {
    const __m512i upper =
        _mm512_and_si512(_mm512_srlv_epi16(high, shifts), _mm512_set1_epi16(static_cast<short>(mask)));
    const __m512i all = _mm512_or_si512(_mm512_cvtepu8_epi16(load256(low)), _mm512_slli_epi16(upper, 8));
    _mm512_store_si512(numbers, all);
}
static inline __m512i word_shifts(int step) {
    return _mm512_mullo_epi16(_mm512_set1_epi64(0x0003000200010000), _mm512_set1_epi16(static_cast<short>(step)));
}
// Eight bytes (or words), each in all four words of a qword.
static inline __m512i repeat_bytes(const uint8_t* from) {
    const __m512i wide = _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
    return _mm512_shuffle_epi8(wide,
                               _mm512_broadcast_i32x4(_mm_set_epi8(9, 8, 9, 8, 9, 8, 9, 8, 1, 0, 1, 0, 1, 0, 1, 0)));
}
static inline __m512i repeat_words(const uint8_t* from) {
    const __m512i wide = _mm512_cvtepu16_epi64(load128(from));
    return _mm512_shuffle_epi8(wide,
                               _mm512_broadcast_i32x4(_mm_set_epi8(9, 8, 9, 8, 9, 8, 9, 8, 1, 0, 1, 0, 1, 0, 1, 0)));
}

template <>
struct Reader<IQ2_S> {
    static constexpr int zero_shift = 7;
    using Prepared = NumbersAndBits;
    [[gnu::always_inline]] static inline void prepare(const uint8_t* blocks, Prepared& prepared) {
        for (int i = 0; i < 2; ++i) {
            const uint8_t* block = blocks + 82 * i;
            store_numbers(block + 2, repeat_bytes(block + 66), word_shifts(2), 3, prepared.numbers.of + 32 * i);
        }
        prepared.negative.set(both(blocks + 34, blocks + 116));
        keep_in_memory(prepared.numbers.of);
    }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks, const Prepared& prepared) {
        Span out;
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            out.codes[i] = with_signs(load_entries(kIq2SGrid.words, prepared.numbers.of + i / 2 * 16 + i % 2 * 2),
                                      prepared.negative.of[i]);
        }
        read_nibble_scales(blocks + 74, blocks + 156, out);
        out.d = scaled(load_factors(blocks, blocks + 82), 0.125f);
        return out;
    }
};

// Entries of IQ1, which are biased already, plus or minus one.
static inline __m512i shifted(__m512i entries, uint64_t negative) {
    const __m512i one = _mm512_set1_epi8(1);
    return _mm512_mask_sub_epi8(_mm512_add_epi8(entries, one), negative, entries, one);
}

template <>
struct Reader<IQ1_S> {
    static constexpr int zero_shift = kZerosOfGroups;
    using Prepared = Numbers;
    [[gnu::always_inline]] static inline void prepare(const uint8_t* blocks, Prepared& numbers) {
        for (int i = 0; i < 2; ++i) {
            const uint8_t* block = blocks + 50 * i;
            store_numbers(block + 2, repeat_words(block + 34), word_shifts(3), 7, numbers.of + 32 * i);
        }
        keep_in_memory(numbers.of);
    }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks, const Prepared& numbers) {
        Span out;
        const __m256i tails =
            _mm256_inserti128_si256(_mm256_castsi128_si256(load128(blocks + 34)), load128(blocks + 84), 1);
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            out.codes[i] = load_entries(kIq1Grid.words, numbers.of + i / 2 * 16 + i % 2 * 2);
        }
        // Entries are biased already. A group's weights all lie one above them, or below where the highest bit is set.
        const __m512i words = dwords_by_lane(_mm512_cvtepu16_epi32(tails));
        const __m512i twice_sign = _mm512_and_si512(_mm512_srli_epi32(words, 14), _mm512_set1_epi32(2));
        out.zeros = _mm512_add_epi32(_mm512_set1_epi32(127), twice_sign);
        out.scales[0] = twice_plus_one(_mm512_and_si512(_mm512_srli_epi32(words, 12), _mm512_set1_epi32(7)));
        out.d = scaled(load_factors(blocks, blocks + 50), 0.125f);
        return out;
    }
};

template <>
struct Reader<IQ1_M> {
    static constexpr int zero_shift = 7;
    using Prepared = NumbersAndBits;
    // A byte's nibbles to two words: three high bits of an entry number and the sign of its shift.
    static inline __m512i nibbles(const uint8_t* block) {
        const __m512i bytes = _mm512_cvtepu8_epi32(load128(block + 32));
        return _mm512_ternarylogic_epi32(_mm512_and_si512(bytes, _mm512_set1_epi32(15)), _mm512_slli_epi32(bytes, 12),
                                         _mm512_set1_epi32(0xf0000), 0xf8);
    }
    [[gnu::always_inline]] static inline void prepare(const uint8_t* blocks, Prepared& prepared) {
        __m256i signs[2];
        for (int i = 0; i < 2; ++i) {
            const uint8_t* block = blocks + 56 * i;
            const __m512i high = nibbles(block);
            store_numbers(block, high, _mm512_setzero_si512(), 7, prepared.numbers.of + 32 * i);
            signs[i] = _mm256_movm_epi8(_mm512_test_epi16_mask(high, _mm512_set1_epi16(8)));
        }
        prepared.negative.set(_mm512_inserti64x4(_mm512_castsi256_si512(signs[0]), signs[1], 1));
        keep_in_memory(prepared.numbers.of);
    }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks, const Prepared& prepared) {
        Span out;
        __m128i scales[2];
        uint64_t factors = 0;
        for (int i = 0; i < 2; ++i) {
            const uint8_t* block = blocks + 56 * i;
            uint64_t words;
            std::memcpy(&words, block + 48, sizeof(words));
            const __m256i wide = _mm256_cvtepu16_epi64(_mm_cvtsi64_si128(static_cast<int64_t>(words)));
            const __m256i repeated = _mm256_shuffle_epi8(
                wide, _mm256_broadcastsi128_si256(_mm_set_epi8(9, 8, 9, 8, 9, 8, 9, 8, 1, 0, 1, 0, 1, 0, 1, 0)));
            const __m256i small = _mm256_and_si256(_mm256_srlv_epi16(repeated, _mm256_set1_epi64x(0x0009000600030000)),
                                                   _mm256_set1_epi16(7));
            scales[i] = _mm256_cvtepi16_epi8(small);
            const uint64_t d =
                (words >> 12 & 0xf) | (words >> 24 & 0xf0) | (words >> 36 & 0xf00) | (words >> 48 & 0xf000);
            factors |= d * 0x10001ull << (32 * i);
        }
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            out.codes[i] = shifted(load_entries(kIq1Grid.words, prepared.numbers.of + i / 2 * 16 + i % 2 * 2),
                                   prepared.negative.of[i]);
        }
        const Halves halves(scales[0], scales[1]);
        out.scales[0] = twice_plus_one(_mm512_cvtepu8_epi32(halves.first));
        out.scales[1] = twice_plus_one(_mm512_cvtepu8_epi32(halves.second));
        const __m128 d = _mm_cvtph_ps(_mm_cvtsi64_si128(static_cast<int64_t>(factors)));
        out.d = scaled(_mm512_broadcast_f32x4(d), 0.125f);
        return out;
    }
};

// 32 entries out of a table of words: pairs of vectors hold 64 entries each, upper bits of the number choose among
// them.
template <int kSize>
static inline __m512i look_up_words(const Codebook<uint16_t, kSize>& book, __m512i numbers) {
    __m512i found = _mm512_permutex2var_epi16(load512(book.words), numbers, load512(book.words + 32));
    for (int64_t i = 64; i < kSize; i += 64) {
        const __mmask32 here = _mm512_cmpge_epu16_mask(numbers, _mm512_set1_epi16(static_cast<short>(i)));
        const __m512i next = _mm512_permutex2var_epi16(load512(book.words + i), numbers, load512(book.words + i + 32));
        found = _mm512_mask_mov_epi16(found, here, next);
    }
    return found;
}

// Four 4-bit level numbers of each of 16 words to bytes, and those to levels.
static inline __m512i levels_of(__m256i words, __m512i levels) {
    const __m512i wide = _mm512_cvtepu16_epi32(words);
    const __m512i pairs =
        _mm512_ternarylogic_epi32(wide, _mm512_slli_epi32(wide, 8), _mm512_set1_epi32(0xff00ff), 0xa8);
    const __m512i singles = _mm512_ternarylogic_epi32(pairs, _mm512_slli_epi32(pairs, 4), _mm512_set1_epi8(15), 0xa8);
    return _mm512_shuffle_epi8(levels, singles);
}

// A block of four groups from 32 entry numbers, groups ascending, eight a group.
template <int kSize>
static inline void read_entries_of_four(const Codebook<uint16_t, kSize>& book, const int8_t* level_table,
                                        __m512i numbers, const Bits& negative, int b, Span& out) {
    // Quads of words to first halves, then second ones.
    const __m512i order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
    const __m512i words = look_up_words(book, _mm512_permutexvar_epi64(order, numbers));
    const __m512i levels = biased_levels(level_table);
    const __m512i first = levels_of(_mm512_castsi512_si256(words), levels);
    const __m512i second = levels_of(_mm512_extracti64x4_epi64(words, 1), levels);
    out.codes[2 * b] = with_signs(first, negative.of[2 * b]);
    out.codes[2 * b + 1] = with_signs(second, negative.of[2 * b + 1]);
}

template <>
struct Reader<IQ3_XXS> {
    static constexpr int zero_shift = 7;
    using Prepared = Bits;
    static inline __m512i tails(const uint8_t* blocks) { return both(blocks + 66, blocks + 164); }
    [[gnu::always_inline]] static inline void prepare(const uint8_t* blocks, Prepared& negative) {
        negative.set_from_tails(tails(blocks));
    }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks, const Prepared& negative) {
        Span out;
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const __m512i numbers = _mm512_cvtepu8_epi16(load256(blocks + b / 2 * 98 + 2 + b % 2 * 32));
            read_entries_of_four(kIq3XxsNumbers, kIq3XxsLevels, numbers, negative, b, out);
        }
        out.scales[0] = twice_plus_one(_mm512_srli_epi32(dwords_by_lane(tails(blocks)), 28));
        out.d = scaled(load_factors(blocks, blocks + 98), 0.25f);
        return out;
    }
};

template <>
struct Reader<IQ3_S> {
    static constexpr int zero_shift = 7;
    using Prepared = Bits;
    [[gnu::always_inline]] static inline void prepare(const uint8_t* blocks, Prepared& negative) {
        negative.set(both(blocks + 74, blocks + 184));
    }
    [[gnu::always_inline]] static inline Span read(const uint8_t* blocks, const Prepared& negative) {
        Span out;
#pragma GCC unroll 4
        for (int b = 0; b < 4; ++b) {
            const uint8_t* block = blocks + b / 2 * 110;
            const __m512i low = _mm512_cvtepu8_epi16(load256(block + 2 + b % 2 * 32));
            const __mmask32 ninth = read_u32(block + 66 + b % 2 * 4);
            const __m512i numbers = _mm512_mask_add_epi16(low, ninth, low, _mm512_set1_epi16(256));
            read_entries_of_four(kIq3SNumbers, kIq3SLevels, numbers, negative, b, out);
        }
        // Nibbles of four bytes a block, low first.
        const __m128i bytes = two_words(read_u32(blocks + 106), read_u32(blocks + 216)), mask = _mm_set1_epi8(15);
        const __m128i low = _mm_and_si128(bytes, mask), high = _mm_and_si128(_mm_srli_epi16(bytes, 4), mask);
        const __m128i block0 = _mm_unpacklo_epi8(low, high), block1 = _mm_unpackhi_epi8(low, high);
        out.scales[0] = twice_plus_one(_mm512_cvtepu8_epi32(by_lane(_mm_unpacklo_epi64(block0, block1))));
        out.d = load_factors(blocks, blocks + 110);
        return out;
    }
};

}  // namespace moonlet::avx512
