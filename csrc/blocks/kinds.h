#pragma once

#include "blocks/blocks.h"

namespace moonlet {

// Calls f.operator()<kind>() with the run-time kind as a constant: the six that formats have.
template <class F>
static inline void with_kind(const FormatKind& kind, const F& f) {
    if (kind.halves) {
        if (kind.minimums) return f.template operator()<FormatKind{true, true, true}>();
        return f.template operator()<FormatKind{true, true, false}>();
    }
    if (kind.scales) {
        if (kind.minimums) return f.template operator()<FormatKind{true, false, true}>();
        return f.template operator()<FormatKind{true, false, false}>();
    }
    if (kind.minimums) return f.template operator()<FormatKind{false, false, true}>();
    return f.template operator()<FormatKind{false, false, false}>();
}

// One row as spans.
static inline void expand_row(const BlockFormat& format, const uint8_t* row, int64_t num_inputs, WeightSpan* weights) {
    for (int64_t s = 0; s < num_spans(num_inputs); ++s) {
        const int64_t left = num_inputs - s * kSpanWeights;
        format.expand(row + s * format.span_bytes(), left < kSpanWeights ? left : kSpanWeights, weights[s]);
    }
}

}  // namespace moonlet
