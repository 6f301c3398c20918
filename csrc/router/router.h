#pragma once

// Which experts a token goes to, and with what weight (`noaux_tc`, sigmoid scores).
//
//   score  = sigmoid(logit);  biased = score + bias, NaN counting as -inf
//   with n_group > 1: a group's score is the sum of its two best biased scores; experts outside the topk_group best
//   groups count as -inf
//   chosen = the top_k of highest biased score, the lower id first among equals; then put in ascending order of id
//   weight = score, divided by (sum of chosen scores in ascending id order + 1e-20) if normalised, times scaling
//
// Only the sigmoid depends on the instruction set.

#include <cstdint>

namespace moonlet {
namespace scalar {
void sigmoid_row(const float* x, int64_t size, float* out);
}
namespace avx2 {
void sigmoid_row(const float* x, int64_t size, float* out);
}
namespace avx512 {
void sigmoid_row(const float* x, int64_t size, float* out);
}
}  // namespace moonlet
