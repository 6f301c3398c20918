#pragma once

// What the products of few tokens share, whose weights are read as stored: spans of 512 weights of one row after
// another, each once for up to eight tokens.

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "common/ahead.h"
#include "common/with_count.h"

namespace moonlet::avx512 {

static inline __m512i load512(const void* source) { return _mm512_loadu_si512(source); }

// Four vectors of [4 groups][4 parts] into [group][vector]; each sum is (part0 + part2) + (part1 + part3).
static inline __m512i sum_parts(__m512i v0, __m512i v1, __m512i v2, __m512i v3) {
    const __m512i v01 = _mm512_add_epi32(_mm512_unpacklo_epi32(v0, v1), _mm512_unpackhi_epi32(v0, v1));
    const __m512i v23 = _mm512_add_epi32(_mm512_unpacklo_epi32(v2, v3), _mm512_unpackhi_epi32(v2, v3));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(v01, v23), _mm512_unpackhi_epi64(v01, v23));
}

// The row's result from its phases, which lie as 4p + b: first over p, then over b.
static inline float sum_phases(__m512 acc) {
    const __m256 pairs = _mm256_add_ps(_mm512_castps512_ps256(acc), _mm512_extractf32x8_ps(acc, 1));
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
    const __m128 halves = _mm_add_ps(sums, _mm_movehl_ps(sums, sums));  // b0 + b2, b1 + b3
    return _mm_cvtss_f32(_mm_add_ss(halves, _mm_movehdup_ps(halves)));
}

// Spans of one row, first to end.
struct SpanRange {
    int64_t first;
    int64_t end;
};

// The sums of one row and `NT` tokens: [token][phase 4p + b].
template <int NT>
using RowSums = __m512[NT];

// Bytes of activations that stay in a L1 cache of 32 KiB while weights and sums pass through it.
constexpr int64_t kNearBytes = 18 * 1024;
constexpr int64_t kRowsOfBlock = 8;

// Where the rows of a task lie.
struct StoredRows {
    const void* begin;
    int64_t row_bytes;

    MemoryRange range(int64_t row, int64_t num_rows) const {
        return {static_cast<const std::byte*>(begin) + row * row_bytes, num_rows * row_bytes};
    }
};

static inline int64_t ceil_div(int64_t count, int64_t size) { return (count + size - 1) / size; }

// How many spans of `NT` tokens are taken at a time: all, or equal parts that stay in the L1 cache.
template <int NT>
static inline int64_t spans_at_once(int64_t num_spans, int64_t span_record_bytes) {
    if constexpr (NT == 1) return num_spans;
    const int64_t near = std::max<int64_t>(1, kNearBytes / (NT * span_record_bytes));
    return ceil_div(num_spans, ceil_div(num_spans, near));
}

// All rows and tokens of a task: multiply<count>(row, token, spans, sums) adds the spans of a row to its sums. One
// token takes each row from end to end, since a single stream is what memory reads fastest. More tokens take eight rows
// at a time through as many spans as leave their activations in the L1 cache: reading those again for every row from
// the L2 cache would cost twice what multiplying by them does. That is no single stream, so the next eight rows are
// fetched meanwhile: eight rows without fetching took up to twice the time.
template <int kMost, class Task, class Multiply>
static inline void for_few_tokens(const Task& task, const StoredRows& rows, int64_t num_spans,
                                  int64_t span_record_bytes, const Multiply& multiply) {
    const auto for_rows = [&]<int NT>(int64_t token) {
        const int64_t at_once = spans_at_once<NT>(num_spans, span_record_bytes);
        for (int64_t row = 0; row < task.num_rows; row += kRowsOfBlock) {
            const int64_t num_rows = std::min(kRowsOfBlock, task.num_rows - row);
            const int64_t num_next = std::min(kRowsOfBlock, task.num_rows - row - num_rows);
            const MemoryRange after{task.ahead.begin, std::min(task.ahead.bytes, kRowsOfBlock * rows.row_bytes)};
            Ahead ahead(num_next > 0 ? rows.range(row + num_rows, num_next) : after,
                        num_rows * ceil_div(num_spans, at_once));
            RowSums<NT> sums[kRowsOfBlock];
            for (int64_t r = 0; r < num_rows; ++r) {
                for (int t = 0; t < NT; ++t) sums[r][t] = _mm512_setzero_ps();
            }
            for (int64_t s = 0; s < num_spans; s += at_once) {
                const SpanRange spans{s, std::min(s + at_once, num_spans)};
                for (int64_t r = 0; r < num_rows; ++r) {
                    if constexpr (NT > 1) ahead.step();
                    multiply.template operator()<NT>(row + r, token, spans, sums[r]);
                }
            }
            float* y = task.y + token * task.y_stride + row;
            for (int64_t r = 0; r < num_rows; ++r) {
                for (int t = 0; t < NT; ++t) y[t * task.y_stride + r] = sum_phases(sums[r][t]);
            }
        }
    };
    for (int64_t token = 0; token < task.num_tokens; token += kMost) {
        with_count<kMost>(std::min<int64_t>(kMost, task.num_tokens - token),
                          [&]<int NT>() { for_rows.template operator()<NT>(token); });
    }
}

}  // namespace moonlet::avx512
