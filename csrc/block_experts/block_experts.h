#pragma once

// The routed experts of one layer whose matrices are in block formats, as stored: as experts/experts.h, with the
// products of blocks/blocks.h.
//
//     h = silu(gate_e x) * (up_e x)                 requantised per group of 32
//     out = fma(weight, down_e h, out)              experts ascending, out from 0

#include "common/runtime.h"
#include "formats/format_table.h"

namespace moonlet {

// One matrix of every expert; each kind of matrix may have a format of its own.
struct BlockStack {
    const uint8_t* blocks;  // [E, rows, row_bytes]
    int64_t expert_bytes;
    int64_t row_bytes;
    int format_idx;

    const uint8_t* row(int64_t expert_idx, int64_t row_idx) const {
        return blocks + expert_idx * expert_bytes + row_idx * row_bytes;
    }
};

struct BlockExpertLayer {
    int64_t num_experts;
    int64_t hidden_size;        // D, whole blocks of gate and up
    int64_t intermediate_size;  // F, whole blocks of down
    BlockStack gate;            // F rows of D
    BlockStack up;              // F rows of D
    BlockStack down;            // D rows of F
};

// x [T, D] float32, topk_ids [T, k] int32 in [0, E), topk_weights [T, k] float32, out [T, D] float32, which aliases
// nothing.
void block_experts_forward(Runtime& runtime, const BlockExpertLayer& layer, const float* x, const int32_t* topk_ids,
                           const float* topk_weights, int64_t num_tokens, int64_t top_k, float* out);

}  // namespace moonlet
