#include <immintrin.h>

#include "ceiling/ceiling.h"

namespace moonlet::avx512 {

uint64_t read_memory(const uint8_t* data, int64_t num_bytes) {
    __m512i seen[4];
    for (__m512i& part : seen) part = _mm512_setzero_si512();
    for (int64_t i = 0; i < num_bytes; i += 256) {
        for (int j = 0; j < 4; ++j) seen[j] = _mm512_or_si512(seen[j], _mm512_loadu_si512(data + i + 64 * j));
    }
    const __m512i all = _mm512_or_si512(_mm512_or_si512(seen[0], seen[1]), _mm512_or_si512(seen[2], seen[3]));
    return static_cast<uint64_t>(_mm512_reduce_or_epi64(all));
}

int64_t multiply_int8(int64_t num_rounds) {
    constexpr int kChains = 12;
    __m512i acc[kChains];
    for (__m512i& chain : acc) chain = _mm512_setzero_si512();
    const __m512i a = _mm512_set1_epi8(3);
    __m512i b = _mm512_set1_epi8(1);
    for (int64_t round = 0; round < num_rounds * 4; ++round) {
        asm volatile("" : "+v"(b));  // unknown to the compiler each time, as weights are
        for (__m512i& chain : acc) chain = _mm512_dpbusd_epi32(chain, a, b);
    }
    __m512i sum = acc[0];
    for (const __m512i& chain : acc) sum = _mm512_xor_si512(sum, chain);
    asm volatile("" : : "v"(sum));
    return num_rounds * 4 * kChains * 64 * 2;
}

}  // namespace moonlet::avx512
