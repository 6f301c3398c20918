#pragma once

// Few tokens: rows one after another, each span read once for up to four tokens.

#include "blocks/readers_avx512.h"

namespace moonlet::avx512 {

constexpr int kMaxTokens = 4;

// read(s) is span s of a row.
template <FormatKind kind, int zero_shift, int NT, class Read>
static inline void multiply_row(const Read& read, int64_t spans, const ActivationSpan* const* records, float* y,
                                int64_t y_stride) {
    __m512 acc[NT];
    const ActivationSpan* a[NT];
    for (int t = 0; t < NT; ++t) {
        acc[t] = _mm512_setzero_ps();
        a[t] = records[t];
    }
    for (int64_t s = 0; s < spans; ++s) {
        const Span w = read(s);
        for (int t = 0; t < NT; ++t) acc[t] = multiply_span<kind, zero_shift>(w, a[t][s], acc[t]);
    }
    for (int t = 0; t < NT; ++t) y[t * y_stride] = sum_phases(acc[t]);
}

// One row times all tokens of a task.
template <FormatKind kind, int zero_shift, class Read>
static inline void multiply_tokens(const Read& read, const BlockTask& task, float* y) {
    const int64_t spans = num_spans(task.num_inputs);
    int64_t t = 0;
    for (; t + kMaxTokens <= task.num_tokens; t += kMaxTokens) {
        multiply_row<kind, zero_shift, kMaxTokens>(read, spans, task.records + t, y + t * task.y_stride, task.y_stride);
    }
    if (t + 2 <= task.num_tokens) {
        multiply_row<kind, zero_shift, 2>(read, spans, task.records + t, y + t * task.y_stride, task.y_stride);
        t += 2;
    }
    if (t < task.num_tokens) {
        multiply_row<kind, zero_shift, 1>(read, spans, task.records + t, y + t * task.y_stride, task.y_stride);
    }
}

// Straight from the stored blocks. A span that is not whole is read from a copy filled up with zeros.
template <class Format>
static inline void gemv_stored(const BlockTask& task) {
    constexpr int64_t span_bytes = kSpanWeights / Format::weights * Format::bytes;
    const int64_t whole = task.num_inputs / kSpanWeights;
    const int64_t row_bytes = task.num_inputs / Format::weights * Format::bytes;
    uint8_t rest[span_bytes] = {};
    for (int64_t r = 0; r < task.num_rows; ++r) {
        const uint8_t* row = task.rows + r * row_bytes;
        if (row_bytes % span_bytes != 0) {
            std::memcpy(rest, row + whole * span_bytes, static_cast<size_t>(row_bytes % span_bytes));
        }
        const auto read = [&](int64_t s) __attribute__((always_inline)) {
            return Reader<Format>::read(s < whole ? row + s * span_bytes : rest);
        };
        multiply_tokens<Format::kind, Reader<Format>::zero_shift>(read, task, task.y + r);
    }
}

}  // namespace moonlet::avx512
