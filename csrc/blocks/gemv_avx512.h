#pragma once

// Few tokens: rows as stored, each span read once for up to eight tokens.

#include "blocks/readers_avx512.h"

namespace moonlet::avx512 {

constexpr int kMaxTokens = 8;  // accumulators, beside 8 registers of codes and up to 6 of scales and factors

// Adds the products of some spans of one row to its sums. `row` prepares and reads spans (StoredRow).
template <FormatKind kind, int zero_shift, int NT, class Row>
static inline void multiply_spans(const Row& row, const SpanRange& spans, const ActivationSpan* const* records,
                                  RowSums<NT>& sums) {
    __m512 acc[NT];
    const ActivationSpan* a[NT];
    for (int t = 0; t < NT; ++t) {
        acc[t] = sums[t];
        a[t] = records[t];
    }
    typename Row::Prepared prepared[2];
    row.prepare(spans.first, prepared[spans.first & 1]);
    for (int64_t s = spans.first; s < spans.end; ++s) {
        if (s + 1 < spans.end) row.prepare(s + 1, prepared[(s + 1) & 1]);
        const Span w = row.read(s, prepared[s & 1]);
        for (int t = 0; t < NT; ++t) acc[t] = multiply_span<kind, zero_shift>(w, a[t][s], acc[t]);
    }
    for (int t = 0; t < NT; ++t) sums[t] = acc[t];
}

// The lanes of the first `num_groups` of a span.
static inline __mmask16 lanes_of_groups(int64_t num_groups) {
    int mask = 0;
    for (int64_t g = 0; g < num_groups; ++g) mask |= 1 << group_lane(g);
    return static_cast<__mmask16>(mask);
}

// Straight from the stored blocks. The last span of a row, where it is not whole, is read on into the next row: its
// groups past the end meet activations that are zero, and factors that are made zero, since those read may be infinite.
// Only rows without so many bytes of the task behind them have it read from a copy filled up with zeros, because loads
// across the stores of a copy wait for it: they halved the speed of K = 768.
template <class Format>
struct StoredRow {
    using Prepared = avx512::Prepared<Format>;
    static constexpr int64_t span_bytes = kSpanWeights / Format::weights * Format::bytes;

    const uint8_t* whole;
    int64_t num_whole;
    const uint8_t* rest;
    __mmask16 rest_lanes;

    [[gnu::always_inline]] const uint8_t* span(int64_t s) const {
        return s < num_whole ? whole + s * span_bytes : rest;
    }
    [[gnu::always_inline]] void prepare(int64_t s, Prepared& prepared) const {
        prepare_span<Format>(span(s), prepared);
    }
    [[gnu::always_inline]] Span read(int64_t s, const Prepared& prepared) const {
        Span w = read_span<Format>(span(s), prepared);
        if (s == num_whole) {
            w.d = _mm512_maskz_mov_ps(rest_lanes, w.d);
            if constexpr (Format::kind.minimums) w.dmin = _mm512_maskz_mov_ps(rest_lanes, w.dmin);
        }
        return w;
    }
};

template <class Format>
static inline void gemv_stored(const BlockTask& task) {
    constexpr int64_t span_bytes = kSpanWeights / Format::weights * Format::bytes;
    const int64_t whole = task.num_inputs / kSpanWeights;
    const int64_t row_bytes = task.num_inputs / Format::weights * Format::bytes;
    const int64_t rest_bytes = row_bytes - whole * span_bytes;
    const __mmask16 lanes = lanes_of_groups(task.num_inputs % kSpanWeights / 32);
    const uint8_t* const end = task.rows + task.num_rows * row_bytes;
    uint8_t copy[span_bytes] = {};
    const auto multiply = [&]<int NT>(int64_t r, int64_t token, const SpanRange& spans, RowSums<NT>& sums) {
        const uint8_t* row = task.rows + r * row_bytes;
        const uint8_t* rest = row + whole * span_bytes;
        if (end - rest < span_bytes && rest_bytes != 0) {
            std::memcpy(copy, rest, static_cast<size_t>(rest_bytes));
            rest = copy;
        }
        const StoredRow<Format> stored{row, whole, rest, lanes};
        multiply_spans<Format::kind, Reader<Format>::zero_shift, NT>(stored, spans, task.records + token, sums);
    };
    for_few_tokens<kMaxTokens>(task, {task.rows, row_bytes}, num_spans(task.num_inputs), sizeof(ActivationSpan),
                               multiply);
}

}  // namespace moonlet::avx512
