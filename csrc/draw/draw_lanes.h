// Compiled once for each instruction set, by draw_<isa>.cpp.

#include "common/lanes.h"
#include "draw/draw.h"

namespace moonlet::MOONLET_LEVEL {

static float largest(const float* values, int64_t size) {
    Lanes peaks = fill(values[0]);
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) peaks = max(load(values + i), peaks);
    float best = highest(peaks);
    for (; i < size; ++i) best = values[i] > best ? values[i] : best;
    return best;
}

void draw_weights(const float* logits, int64_t size, float temperature, float* weights) {
    const Lanes best = fill(largest(logits, size));
    const Lanes divisor = fill(temperature);
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) store(weights + i, exp((load(logits + i) - best) / divisor));
    if (i < size) store_some(weights + i, exp((load_some(logits + i, size - i) - best) / divisor), size - i);
}

}  // namespace moonlet::MOONLET_LEVEL
