#pragma once

// The table of one instruction set: compiled once a level by three one-line files.

#include "formats/all_formats.h"
#include "formats/format_table.h"

namespace moonlet::MOONLET_LEVEL {
namespace {

template <class Format>
void expand_span(const uint8_t* blocks, int64_t num_weights, WeightSpan& span) {
    static_assert(Format::weights == 32 || Format::weights == 256);
    if (num_weights < kSpanWeights) std::memset(&span, 0, sizeof(span));
    if constexpr (!Format::kind.scales) {
        for (int i = 0; i < 2 * kSpanGroups; ++i) span.scales[i / kSpanGroups][i % kSpanGroups] = 1;
        for (int i = 0; i < 2 * kSpanGroups; ++i) span.minimums[i / kSpanGroups][i % kSpanGroups] = 1;
    }
    for (int64_t k = 0; k < num_weights; k += Format::weights) {
        Format::expand(blocks + k / Format::weights * Format::bytes, k / 32, span);
    }
}

}  // namespace

#define MOONLET_ROW(F) BlockFormat{#F, F::weights, F::bytes, F::kind, expand_span<F>},
constinit const BlockFormat block_formats[] = {MOONLET_FOR_EACH_FORMAT(MOONLET_ROW)};
#undef MOONLET_ROW
static_assert(sizeof(block_formats) / sizeof(BlockFormat) == kNumBlockFormats);

}  // namespace moonlet::MOONLET_LEVEL
