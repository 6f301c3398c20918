// Compiled once for each instruction set, by router_<isa>.cpp.

#include "common/lanes.h"
#include "router/router.h"

namespace moonlet::MOONLET_LEVEL {

void sigmoid_row(const float* x, int64_t size, float* out) {
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) store(out + i, sigmoid(load(x + i)));
    if (i < size) store_some(out + i, sigmoid(load_some(x + i, size - i)), size - i);
}

}  // namespace moonlet::MOONLET_LEVEL
