#pragma once

// Few tokens: weights are read as stored, four rows at a time, each 64-byte load once for up to four tokens.
//
// Four rows' group vectors are transposed and added into one vector of [phase][row], so that conversion, scales and the
// fma are paid once for four rows times four groups. Memory limits this loop, and memory wants one sequential stream,
// while four rows are four: the rows of a later step are therefore prefetched in the order in which they lie. On a Zen
// 4 server core four interleaved streams read 16 GB/s alone and as fast as one sequential read with the prefetch.

#include "common/math_avx512.h"
#include "int8_groups/formats_avx512.h"

namespace moonlet::avx512 {

constexpr int64_t kRows = 4;
constexpr int64_t kMaxTokens = 4;

// Four vectors of [phase][4 parts] into [phase][4 rows]; each sum is (part0 + part2) + (part1 + part3).
static inline __m512i sum_parts(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}
static inline __m512 sum_parts(__m512 a, __m512 b, __m512 c, __m512 d) {
    const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const __m512d abd = _mm512_castps_pd(ab), cdd = _mm512_castps_pd(cd);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(abd, cdd)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(abd, cdd)));
}

// (acc0 + acc2) + (acc1 + acc3) of [phase][row].
static inline __m128 sum_phases(__m512 acc) {
    const __m256 sum = _mm256_add_ps(_mm512_castps512_ps256(acc), _mm512_extractf32x8_ps(acc, 1));
    return _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
}

// Four rows of a matrix; rows past the last repeat it, and their results are not stored.
struct FourRows {
    const uint8_t* codes[kRows];
    const bf16* scales[kRows];
    int64_t count;

    FourRows(const DotTask& task, int64_t row, int64_t row_bytes) {
        count = task.num_rows - row < kRows ? task.num_rows - row : kRows;
        for (int64_t r = 0; r < kRows; ++r) {
            const int64_t idx = row + (r < count ? r : count - 1);
            codes[r] = task.rows.codes + idx * row_bytes;
            scales[r] = task.rows.scales + idx * (task.num_inputs / kGroup);
        }
    }

    // Scales of groups g..g+3 as [phase][row] float32: one permutation transposes and widens, since the low half of a
    // float32 made from bf16 is zero.
    __m512 load_scales(int64_t g) const {
        return spread(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales[0] + g)),
                      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales[1] + g)),
                      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales[2] + g)),
                      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(scales[3] + g)));
    }
    __m512 load_scales_part(int64_t g, int64_t num_groups) const {
        const __mmask8 mask = static_cast<__mmask8>((1 << num_groups) - 1);
        return spread(_mm_maskz_loadu_epi16(mask, scales[0] + g), _mm_maskz_loadu_epi16(mask, scales[1] + g),
                      _mm_maskz_loadu_epi16(mask, scales[2] + g), _mm_maskz_loadu_epi16(mask, scales[3] + g));
    }

    static __m512 spread(__m128i s0, __m128i s1, __m128i s2, __m128i s3) {
        const __m256i words = _mm256_set_m128i(_mm_unpacklo_epi64(s2, s3), _mm_unpacklo_epi64(s0, s1));  // [row][phase]
        const __m512i order = _mm512_set_epi16(15, 0, 11, 0, 7, 0, 3, 0, 14, 0, 10, 0, 6, 0, 2, 0, 13, 0, 9, 0, 5, 0, 1,
                                               0, 12, 0, 8, 0, 4, 0, 0, 0);
        return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaau, order, _mm512_castsi256_si512(words)));
    }

    void store(float* y, __m128 values) const {
        _mm_mask_storeu_ps(y, static_cast<__mmask8>((1 << count) - 1), values);
    }
};

// What to bring into the cache while four rows are multiplied: the same number of bytes, further on.
class Prefetch {
  public:
    Prefetch(const DotTask& task, int64_t row_bytes) : task_(task), row_bytes_(row_bytes) {
        rows_ahead_ = round_up_to(kBytesAhead / row_bytes + 1, kRows);
    }

    // The codes to prefetch during rows row..row+3; their scales, a small stream, are prefetched here and now.
    const uint8_t* start(int64_t row) const {
        const int64_t num_groups = task_.num_inputs / kGroup;
        int64_t ahead = row + rows_ahead_;
        WeightRows from = task_.rows;
        if (ahead >= task_.num_rows) {
            if (task_.next.codes == nullptr) return task_.rows.codes + row * row_bytes_;
            ahead -= round_up_to(task_.num_rows, kRows);
            from = task_.next;
        }
        const auto* scales = reinterpret_cast<const char*>(from.scales + ahead * num_groups);
        for (int64_t i = 0; i < kRows * num_groups * 2; i += 64) _mm_prefetch(scales + i, _MM_HINT_T0);
        return from.codes + ahead * row_bytes_;
    }

  private:
    // Far enough to cover the latency of memory (12 KB at 10 bytes a nanosecond is 1.2 us), near enough for a 32 KB L1.
    static constexpr int64_t kBytesAhead = 12 * 1024 - 1;
    const DotTask& task_;
    int64_t row_bytes_;
    int64_t rows_ahead_;
};

template <int64_t bytes>
static inline void prefetch_bytes(const uint8_t* source) {
    for (int64_t i = 0; i < bytes; i += 64) _mm_prefetch(reinterpret_cast<const char*>(source + i), _MM_HINT_T0);
}

// Four rows times NT int8 records, y[t * y_stride] on. `ahead` is prefetched on the way, unless null.
template <class Format, int NT>
static inline void gemv_int8(const FourRows& rows, int64_t num_inputs, const std::byte* const* records,
                             const uint8_t* ahead, float* y, int64_t y_stride) {
    Int8Record a[NT];
    __m512 acc[NT];
    for (int t = 0; t < NT; ++t) {
        a[t] = Int8Record(records[t], num_inputs);
        acc[t] = _mm512_setzero_ps();
    }
    const __m512i phase = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    const auto step = [&](const typename Format::Codes(&w)[kRows], __m512 w_scales, int64_t b) {
        for (int t = 0; t < NT; ++t) {
            const int8_t* codes = a[t].codes + b * kBlock;
            __m512i isum = sum_parts(Format::dot(w[0], codes), Format::dot(w[1], codes), Format::dot(w[2], codes),
                                     Format::dot(w[3], codes));
            const __m128i corrections = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a[t].corrections + 4 * b));
            const __m128 a_scales = _mm_loadu_ps(a[t].scales + 4 * b);
            isum = _mm512_add_epi32(isum, _mm512_permutexvar_epi32(phase, _mm512_castsi128_si512(corrections)));
            const __m512 spread = _mm512_permutexvar_ps(phase, _mm512_castps128_ps512(a_scales));
            acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum), _mm512_mul_ps(w_scales, spread), acc[t]);
        }
    };
    typename Format::Codes w[kRows];
    const int64_t num_blocks = num_inputs / kBlock;
    for (int64_t b = 0; b < num_blocks; ++b) {
        if (ahead != nullptr) prefetch_bytes<kRows * Format::block_bytes>(ahead + b * kRows * Format::block_bytes);
        for (int64_t r = 0; r < kRows; ++r) w[r] = Format::load(rows.codes[r] + b * Format::block_bytes);
        step(w, rows.load_scales(4 * b), b);
    }
    const int64_t num_left = num_inputs % kBlock / kGroup;
    if (num_left != 0) {
        const int64_t b = num_blocks;
        for (int64_t r = 0; r < kRows; ++r) {
            w[r] = Format::load_part(rows.codes[r] + b * Format::block_bytes, num_left);
        }
        step(w, rows.load_scales_part(4 * b, num_left), b);
    }
    for (int t = 0; t < NT; ++t) rows.store(y + t * y_stride, sum_phases(acc[t]));
}

// Four rows times NT bf16 records. A permutation of a table of 16 floats turns codes into values: it reads only the low
// four bits of each lane, so shifting the dwords is all the unpacking there is.
template <int NT>
static inline void gemv_bf16(const FourRows& rows, int64_t num_inputs, const std::byte* const* records,
                             const uint8_t* ahead, float* y, int64_t y_stride) {
    __m512 acc[NT];
    for (int t = 0; t < NT; ++t) acc[t] = _mm512_setzero_ps();
    const __m512 table = _mm512_set_ps(7, 6, 5, 4, 3, 2, 1, 0, -1, -2, -3, -4, -5, -6, -7, -8);
    const auto step = [&](__m512i(&w)[kRows], __m512 w_scales, int64_t b) {
        __m512 p[NT][kRows];
        for (int t = 0; t < NT; ++t) {
            for (int r = 0; r < kRows; ++r) p[t][r] = _mm512_setzero_ps();
        }
        for (int64_t i = 0; i < 8; ++i) {
            for (int r = 0; r < kRows; ++r) {
                const __m512 values = _mm512_permutexvar_ps(w[r], table);
                w[r] = _mm512_srli_epi32(w[r], 4);
                for (int t = 0; t < NT; ++t) {
                    const __m512 a = _mm512_loadu_ps(reinterpret_cast<const float*>(records[t]) + b * kBlock + 16 * i);
                    p[t][r] = _mm512_fmadd_ps(values, a, p[t][r]);
                }
            }
        }
        for (int t = 0; t < NT; ++t) {
            acc[t] = _mm512_fmadd_ps(sum_parts(p[t][0], p[t][1], p[t][2], p[t][3]), w_scales, acc[t]);
        }
    };
    __m512i w[kRows];
    const int64_t num_blocks = num_inputs / kBlock;
    for (int64_t b = 0; b < num_blocks; ++b) {
        if (ahead != nullptr) prefetch_bytes<kRows * 64>(ahead + b * kRows * 64);
        for (int64_t r = 0; r < kRows; ++r) w[r] = load512(rows.codes[r] + b * 64);
        step(w, rows.load_scales(4 * b), b);
    }
    const int64_t num_left = num_inputs % kBlock / kGroup;
    if (num_left != 0) {
        for (int64_t r = 0; r < kRows; ++r) w[r] = load512_part(rows.codes[r] + num_blocks * 64, num_left * 16);
        step(w, rows.load_scales_part(4 * num_blocks, num_left), num_blocks);
    }
    for (int t = 0; t < NT; ++t) rows.store(y + t * y_stride, sum_phases(acc[t]));
}

}  // namespace moonlet::avx512
