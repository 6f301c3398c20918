#pragma once

// The weight formats as AVX-512 meets them. Lanes of a "group vector" are four partial sums of each of four groups.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "common/few_tokens_avx512.h"
#include "int8_groups/int8_groups.h"

namespace moonlet::avx512 {

// The first `bytes` (0 to 64) of a vector, the rest zero; nothing past them is touched.
static inline __m512i load512_part(const void* source, int64_t bytes) {
    if (bytes <= 0) return _mm512_setzero_si512();
    return _mm512_maskz_loadu_epi8(bytes >= 64 ? ~0ull : (1ull << bytes) - 1, source);
}

struct Int4 {
    static constexpr int64_t block_bytes = 64;  // of kBlock elements of one row
    struct Codes {
        __m512i low, high;
    };
    static inline Codes split(__m512i bytes) {
        const __m512i mask = _mm512_set1_epi8(15);
        return {_mm512_and_si512(bytes, mask), _mm512_and_si512(_mm512_srli_epi32(bytes, 4), mask)};
    }
    static inline Codes load(const uint8_t* codes) { return split(load512(codes)); }
    static inline Codes load_part(const uint8_t* codes, int64_t num_groups) {
        return split(load512_part(codes, num_groups * 16));
    }
    static inline __m512i dot(const Codes& codes, const int8_t* a) {
        const __m512i low = _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes.low, load512(a));
        return _mm512_dpbusd_epi32(low, codes.high, load512(a + 64));
    }
};

// 4-bit codes still packed, eight to a dword, for the bf16 form.
struct PackedInt4 {
    static constexpr int64_t block_bytes = 64;
    using Codes = __m512i;
    static inline Codes load(const uint8_t* codes) { return load512(codes); }
    static inline Codes load_part(const uint8_t* codes, int64_t num_groups) {
        return load512_part(codes, num_groups * 16);
    }
};

struct Int8 {
    static constexpr int64_t block_bytes = 128;
    struct Codes {
        __m512i first, second;  // groups 0, 1 and groups 2, 3
    };
    static inline Codes load(const uint8_t* codes) { return {load512(codes), load512(codes + 64)}; }
    static inline Codes load_part(const uint8_t* codes, int64_t num_groups) {
        return {load512_part(codes, num_groups * 32), load512_part(codes + 64, num_groups * 32 - 64)};
    }
    static inline __m512i dot(const Codes& codes, const int8_t* a) {
        const __m512i first = _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes.first, load512(a));
        const __m512i second = _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes.second, load512(a + 64));
        // Eight lanes a group become four: quarters 0 and 2 of both vectors, plus quarters 1 and 3.
        return _mm512_add_epi32(_mm512_shuffle_i32x4(first, second, 0x88), _mm512_shuffle_i32x4(first, second, 0xdd));
    }
};

// An int8 record of K inputs, taken apart.
struct Int8Record {
    const int8_t* codes;
    const float* scales;
    const int32_t* corrections;
    Int8Record(const std::byte* record, int64_t num_inputs)
        : codes(reinterpret_cast<const int8_t*>(record)),
          scales(reinterpret_cast<const float*>(record + padded_size(num_inputs))),
          corrections(reinterpret_cast<const int32_t*>(scales + padded_groups(num_inputs))) {}
};

}  // namespace moonlet::avx512
