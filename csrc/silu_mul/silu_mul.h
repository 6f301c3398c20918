#pragma once

// out[i] = silu(gate_up[i]) * gate_up[size + i] over one row of 2 * size values; silu as in common/math_<isa>.h.
// out must not overlap gate_up.

#include <cstdint>

namespace moonlet {
namespace scalar {
void silu_mul_row(const float* gate_up, int64_t size, float* out);
}
namespace avx2 {
void silu_mul_row(const float* gate_up, int64_t size, float* out);
}
namespace avx512 {
void silu_mul_row(const float* gate_up, int64_t size, float* out);
}
}  // namespace moonlet
