// Compiled once for each instruction set, by rms_norm_<isa>.cpp.

#include "common/lanes.h"
#include "rms_norm/rms_norm.h"

namespace moonlet::MOONLET_LEVEL {

void rms_norm_row(const float* x, const bf16* weight, float eps, int64_t size, float* out) {
    const int64_t whole = size / kLanes * kLanes;
    const int64_t rest = size - whole;
    Lanes squares = zero();
    for (int64_t i = 0; i < whole; i += kLanes) {
        const Lanes v = load(x + i);
        squares = fma(v, v, squares);
    }
    if (rest != 0) {
        const Lanes v = load_some(x + whole, rest);
        squares = fma(v, v, squares);
    }
    const Lanes scale = fill(1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(size) + eps));
    for (int64_t i = 0; i < whole; i += kLanes) store(out + i, load(x + i) * scale * load(weight + i));
    if (rest != 0) {
        store_some(out + whole, load_some(x + whole, rest) * scale * load_some(weight + whole, rest), rest);
    }
}

}  // namespace moonlet::MOONLET_LEVEL
