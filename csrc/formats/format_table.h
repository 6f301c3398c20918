#pragma once

#include <cstdint>
#include <string>

#include "common/isa.h"
#include "formats/span.h"

namespace moonlet {

// One row of the table: what a product must know about a format, and its reader for one instruction set.
struct BlockFormat {
    const char* name;  // as GGUF tools print it
    int64_t block_weights;
    int64_t block_bytes;
    FormatKind kind;
    // Expands up to kSpanWeights weights, whole blocks, into a span; the rest of the span becomes zero weights.
    void (*expand)(const uint8_t* blocks, int64_t num_weights, WeightSpan& span);

    int64_t row_bytes(int64_t num_weights) const { return num_weights / block_weights * block_bytes; }
    int64_t span_bytes() const { return kSpanWeights / block_weights * block_bytes; }
};

namespace scalar {
extern const BlockFormat block_formats[];
}
namespace avx2 {
extern const BlockFormat block_formats[];
}
namespace avx512 {
extern const BlockFormat block_formats[];
}

constexpr int kNumBlockFormats = 22;

// The row's index in each of these tables, which have one order. Throws OptionError listing the names.
int block_format_idx(const std::string& name);

static inline const BlockFormat& block_format(Isa isa, int idx) { return MOONLET_PICK(isa, block_formats)[idx]; }

}  // namespace moonlet
