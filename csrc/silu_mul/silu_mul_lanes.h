// Compiled once for each instruction set, by silu_mul_<isa>.cpp.

#include "common/lanes.h"
#include "silu_mul/silu_mul.h"

namespace moonlet::MOONLET_LEVEL {

void silu_mul_row(const float* gate_up, int64_t size, float* out) {
    const float* up = gate_up + size;
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) store(out + i, silu(load(gate_up + i)) * load(up + i));
    if (i < size) store_some(out + i, silu(load_some(gate_up + i, size - i)) * load_some(up + i, size - i), size - i);
}

}  // namespace moonlet::MOONLET_LEVEL
