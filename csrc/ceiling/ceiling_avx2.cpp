#include <immintrin.h>

#include "ceiling/ceiling.h"

namespace moonlet::avx2 {

uint64_t read_memory(const uint8_t* data, int64_t num_bytes) {
    __m256i seen[4];
    for (__m256i& part : seen) part = _mm256_setzero_si256();
    for (int64_t i = 0; i < num_bytes; i += 128) {
        for (int j = 0; j < 4; ++j) {
            const auto* source = reinterpret_cast<const __m256i*>(data + i + 32 * j);
            seen[j] = _mm256_or_si256(seen[j], _mm256_loadu_si256(source));
        }
    }
    const __m256i all = _mm256_or_si256(_mm256_or_si256(seen[0], seen[1]), _mm256_or_si256(seen[2], seen[3]));
    alignas(32) uint64_t words[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(words), all);
    return words[0] | words[1] | words[2] | words[3];
}

int64_t multiply_int8(int64_t num_rounds) {
    constexpr int kChains = 8;
    __m256i acc[kChains];
    for (__m256i& chain : acc) chain = _mm256_setzero_si256();
    const __m256i a = _mm256_set1_epi8(3);
    __m256i b = _mm256_set1_epi8(1);
    for (int64_t round = 0; round < num_rounds * 16; ++round) {
#pragma GCC unroll 8
        for (__m256i& chain : acc) {
            asm volatile("" : "+x"(b));  // unknown to the compiler each time, as weights are
            chain = _mm256_add_epi16(chain, _mm256_maddubs_epi16(a, b));
        }
    }
    __m256i sum = acc[0];
    for (const __m256i& chain : acc) sum = _mm256_xor_si256(sum, chain);
    asm volatile("" : : "x"(sum));
    return num_rounds * 16 * kChains * 32 * 2;
}

}  // namespace moonlet::avx2
