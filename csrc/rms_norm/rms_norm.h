#pragma once

// out[i] = (x[i] * (1 / sqrt(sum(x^2) / size + eps))) * weight[i] over one row.
//
// The sum is taken in sixteen lanes and folded as common/lanes.h says; root and division are the exactly rounded ones.
// x and out may be the same memory.

#include <cstdint>

#include "common/bf16.h"

namespace moonlet {
namespace scalar {
void rms_norm_row(const float* x, const bf16* weight, float eps, int64_t size, float* out);
}
namespace avx2 {
void rms_norm_row(const float* x, const bf16* weight, float eps, int64_t size, float* out);
}
namespace avx512 {
void rms_norm_row(const float* x, const bf16* weight, float eps, int64_t size, float* out);
}
}  // namespace moonlet
