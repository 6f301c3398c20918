// Compiled once for each instruction set, by linear_float_<isa>.cpp.

#include "common/tiles.h"
#include "linear_float/linear_float.h"

namespace moonlet::MOONLET_LEVEL {

template <class W>
static void linear(const LinearBlock<W>& block) {
    dot(Rows<const W>{block.weight, block.size}, block.num_rows, Rows<const float>{block.x, block.size},
        block.num_tokens, block.size, Rows<float>{block.y, block.y_stride});
}

void linear_bf16(const LinearBlock<bf16>& block) { linear(block); }
void linear_f32(const LinearBlock<float>& block) { linear(block); }

}  // namespace moonlet::MOONLET_LEVEL
