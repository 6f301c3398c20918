#pragma once

#include <immintrin.h>

namespace moonlet::avx512 {

// 16 vectors of 16 dwords, in place: v[i][j] becomes v[j][i].
static inline void transpose(__m512i (&v)[16]) {
    __m512i u[16];
    for (int i = 0; i < 16; i += 2) {
        u[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        u[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        v[i] = _mm512_unpacklo_epi64(u[i], u[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(u[i], u[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(u[i + 1], u[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(u[i + 1], u[i + 3]);
    }
    // v[4q + c] holds column c (mod 4) of rows 4q..4q+3, one quarter for each group of four columns.
    for (int c = 0; c < 4; ++c) {
        const __m512i even01 = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x88),
                      odd01 = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xdd);
        const __m512i even23 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x88);
        const __m512i odd23 = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xdd);
        u[c] = _mm512_shuffle_i32x4(even01, even23, 0x88);
        u[8 + c] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
        u[4 + c] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
        u[12 + c] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
    }
    for (int i = 0; i < 16; ++i) v[i] = u[i];
}

}  // namespace moonlet::avx512
