#pragma once

// Draws one token from a row of logits, given a number in [0, 1).
//
//   weight_i = exp((logit_i - best) / temperature)     float32, exp as in common/math_<isa>.h; 0 below e^-87
//   top_k    only the k largest weights stay
//   top_p    only the smallest set stays that has this share of the mass left by top_k
//   min_p    only weights of at least so much stay; the best one's is 1
//   token    the first, by id, at which the running sum of what stays passes `number` of the whole
//
// Among equal weights the lower id stays. Sums are float64, in ascending order of ids; those of bins (draw.cpp) too.
// Only the weights are computed by level, element by element, so every level draws the same token.

#include <cstdint>

namespace moonlet {
namespace scalar {
void draw_weights(const float* logits, int64_t size, float temperature, float* weights);
}
namespace avx2 {
void draw_weights(const float* logits, int64_t size, float temperature, float* weights);
}
namespace avx512 {
void draw_weights(const float* logits, int64_t size, float temperature, float* weights);
}
}  // namespace moonlet
