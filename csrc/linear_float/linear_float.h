#pragma once

// y[t][n] = sum over k of x[t][k] * weight[n][k], for a block of rows n and tokens t.
//
// x: float32, `size` apart.  weight: bfloat16 or float32, rows `size` apart.  y: float32, tokens `y_stride` apart; must
// not overlap the inputs. Each y is sixteen chains of fused multiply-adds, chain k mod 16 in ascending k (a short end
// counts as zeros), folded as common/lanes.h says. No alignment is asked for.

#include <cstdint>

#include "common/bf16.h"

namespace moonlet {

template <class W>
struct LinearBlock {
    const float* x;
    int64_t num_tokens;
    const W* weight;
    int64_t num_rows;
    int64_t size;
    float* y;
    int64_t y_stride;
};

namespace scalar {
void linear_bf16(const LinearBlock<bf16>& block);
void linear_f32(const LinearBlock<float>& block);
}  // namespace scalar
namespace avx2 {
void linear_bf16(const LinearBlock<bf16>& block);
void linear_f32(const LinearBlock<float>& block);
}  // namespace avx2
namespace avx512 {
void linear_bf16(const LinearBlock<bf16>& block);
void linear_f32(const LinearBlock<float>& block);
}  // namespace avx512
}  // namespace moonlet
