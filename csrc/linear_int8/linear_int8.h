#pragma once

#include "common/runtime.h"
#include "int8_groups/int8_groups.h"

namespace moonlet {

// out[t][n] = sum over k of x[t][k] * (codes[n][k] - 128) * scales[n][k / 32], in the arithmetic of int8_groups.h.
//
// x [T, K] float32, codes [N, K] uint8, scales [N, K/32] bf16, out [T, N] float32; K a multiple of 32; out aliases
// nothing.
void linear_int8(Runtime& runtime, const float* x, const uint8_t* codes, const bf16* scales, int64_t num_tokens,
                 int64_t num_inputs, int64_t num_outputs, float* out);

}  // namespace moonlet
