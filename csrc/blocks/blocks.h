#pragma once

// Products with weights in block formats, as stored (formats/span.h), and activations quantised per token to int8 with
// one scale per group of 32 inputs. One arithmetic, the same bits at every level, for any number of tokens and rows:
//
//     activations   s_a and a exactly as in int8_groups/int8_groups.h
//     group g       gsum = sum over the halves h of scales[h][g] * (sum of code * a),  exact in int32
//                   acc[g mod 16] = fma(f32(gsum), d[g] * s_a, acc[g mod 16])
//                   and for formats with minimums, right after it,
//                   msum = sum over the halves h of minimums[h][g] * (sum of a),       exact in int32
//                   acc[g mod 16] = fma(-f32(msum), dmin[g] * s_a, acc[g mod 16])
//     row           s[b] = (acc[4b] + acc[4b+2]) + (acc[4b+1] + acc[4b+3]);   y = (s[0] + s[2]) + (s[1] + s[3])
//
// A group past the end of a row adds zero. |gsum| stays below 2^25 for every format, so int32 is exact; above 2^24 its
// conversion rounds, the same way everywhere.
//
// K inputs are whole blocks. Weights [N, K / block_weights * block_bytes] bytes, any alignment. An activation record is
// one ActivationSpan for every 512 inputs, zero past the end, so that a step of a product finds all it needs of a token
// in one place.

#include <cstddef>
#include <string>

#include "common/ahead.h"
#include "common/errors.h"
#include "common/isa.h"
#include "formats/format_table.h"

namespace moonlet {

// Codes and group values lie as those of a WeightSpan. Sums are negated: times a zero point they are the correction for
// unsigned codes, times minimums the term to add.
struct alignas(64) ActivationSpan {
    int8_t codes[kSpanWeights];
    float scales[kSpanGroups];
    int32_t negated_sums[kSpanGroups];
    int32_t negated_half_sums[2][kSpanGroups];
};

static inline int64_t num_spans(int64_t num_inputs) { return (num_inputs + kSpanWeights - 1) / kSpanWeights; }

static inline int64_t block_record_bytes(int64_t num_inputs) {
    return num_spans(num_inputs) * static_cast<int64_t>(sizeof(ActivationSpan));
}

// K of a matrix whose rows take `row_bytes`; throws ShapeError naming the matrix where they are not whole blocks.
static inline int64_t inputs_of_row(const std::string& name, const BlockFormat& format, int64_t row_bytes) {
    if (row_bytes % format.block_bytes != 0) {
        throw ShapeError(name + ": rows of " + std::to_string(row_bytes) + " bytes, expected a multiple of " +
                         std::to_string(format.block_bytes) + ", a " + format.name + " block");
    }
    return row_bytes / format.block_bytes * format.block_weights;
}

// The other way round; throws ShapeError where `num_inputs` are not whole blocks.
static inline int64_t bytes_of_row(const std::string& name, const BlockFormat& format, int64_t num_inputs) {
    if (num_inputs % format.block_weights != 0) {
        throw ShapeError(name + ": rows of " + std::to_string(num_inputs) + " weights, expected a multiple of " +
                         std::to_string(format.block_weights) + " in " + format.name);
    }
    return format.row_bytes(num_inputs);
}

// One product: y[t * y_stride + r] for `num_rows` rows and `num_tokens` records.
struct BlockTask {
    const uint8_t* rows;
    int64_t num_rows;
    int64_t num_inputs;                    // K, whole blocks
    const ActivationSpan* const* records;  // [num_tokens]
    int64_t num_tokens;
    float* y;
    int64_t y_stride;
    std::byte* scratch;  // block_scratch_bytes(num_inputs), 64-byte aligned
    MemoryRange ahead;   // read after this task
};

constexpr int64_t kBlockTileRows = 32;

static inline int64_t block_scratch_bytes(int64_t num_inputs) {
    // A tile, and one span of 16 rows on its way into it.
    return (kBlockTileRows * num_spans(num_inputs) + 16) * static_cast<int64_t>(sizeof(WeightSpan));
}

// Everything that depends on the instruction set. Tasks read their inputs and write only y and scratch.
struct BlockOps {
    void (*dot[kNumBlockFormats])(const BlockTask& task);
    // One row x[num_inputs], a multiple of 32, into a whole record.
    void (*quantize)(const float* x, int64_t num_inputs, ActivationSpan* record);
    // silu(gate) * up of the 32 values of group g into a record whose padding is already zero.
    void (*silu_mul)(const float* gate, const float* up, int64_t g, ActivationSpan* record);
};

namespace scalar {
const BlockOps* block_ops();
}
namespace avx2 {
const BlockOps* block_ops();
}
namespace avx512 {
const BlockOps* block_ops();
}

static inline const BlockOps* block_ops(Isa isa) { return MOONLET_PICK(isa, block_ops)(); }

}  // namespace moonlet
