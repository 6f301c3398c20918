#pragma once

#include "common/runtime.h"
#include "formats/format_table.h"

namespace moonlet {

// out[t][n] = sum over k of x[t][k] * weight[n][k], in the arithmetic of blocks/blocks.h.
//
// x [T, K] float32; blocks [N, format.row_bytes(K)] of the format that `format_idx` names; out [T, N] float32, which
// aliases nothing.
void linear_blocks(Runtime& runtime, const float* x, const uint8_t* blocks, int format_idx, int64_t num_tokens,
                   int64_t num_inputs, int64_t num_outputs, float* out);

// The weights as float32, rounded as ggml rounds them. out [N, K].
void dequantize_blocks(Runtime& runtime, const uint8_t* blocks, int format_idx, int64_t num_rows, int64_t num_inputs,
                       float* out);

}  // namespace moonlet
