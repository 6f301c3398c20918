#include "patch_attention/patch_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "common/call.h"
#include "common/flush_subnormals.h"
#include "common/tensor.h"

namespace moonlet {
namespace {

// Memory for packed heads: a few of the largest item's (5 MB each for K2.5), all of a small one's.
constexpr int64_t kPackedBytes = 16 << 20;

struct Item {
    const bf16* qkv;  // [num_patches, 3, num_heads, width]
    int64_t num_patches, num_heads, width;

    int64_t stride() const { return 3 * num_heads * width; }
    // which: 0 q, 1 k, 2 v
    const bf16* row(int64_t patch, int64_t which, int64_t head) const {
        return qkv + patch * stride() + (which * num_heads + head) * width;
    }
};

void pack_block(const Item& item, int64_t head, int64_t first, const PackedHead& block) {
    const int64_t width = item.width, columns = whole_vectors(width);
    const int64_t count = std::min(kKeys, item.num_patches - first);
    if (count < kKeys) std::memset(block.k, 0, static_cast<size_t>(packed_k_size(width)) * sizeof(bf16));
    if (count < kKeys || columns > width) {
        std::memset(block.v, 0, static_cast<size_t>(packed_v_size(width)) * sizeof(bf16));
    }
    for (int64_t j = 0; j < count; ++j) {
        const bf16* k = item.row(first + j, 1, head);
        for (int64_t c = 0; c < width; c += 2) {
            block.k[c * kKeys + 2 * j] = k[c];
            block.k[c * kKeys + 2 * j + 1] = k[c + 1];
        }
        const bf16* v = item.row(first + j, 2, head);
        bf16* pairs = block.v + j / 2 * 2 * columns + j % 2;
        for (int64_t c = 0; c < width; ++c) pairs[2 * c] = v[c];
    }
}

}  // namespace

void bind_patch_attention(nb::module_& m) {
    m.def("patch_attention", [](Runtime& runtime, const Input& qkv, const Output& out) {
        Size N{"N"}, H{"H"}, C{"C"};
        const bf16* qkv_data = input<bf16>("patch_attention: qkv", qkv, {N, {"3", 3}, H, C});
        bf16* out_data = output<bf16>("patch_attention: out", out, {N, {"H*C", H * C}});
        const Item item{qkv_data, N, H, C};
        const int64_t width = item.width;
        if (width % 2 != 0 || width == 0) {
            throw ShapeError("patch_attention: qkv: heads of " + std::to_string(width) +
                             " channels, expected an even number");
        }
        const float softmax_scale = 1.0f / std::sqrt(static_cast<float>(width));
        const Call call(runtime);
        const auto attend = MOONLET_PICK_BF16(runtime.isa(), attend_patches);
        runtime.reserve_scratch(static_cast<size_t>(attend_patches_scratch_floats(width)) * sizeof(float));

        const int64_t key_blocks = (item.num_patches + kKeys - 1) / kKeys;
        const int64_t query_blocks = (item.num_patches + kQueries - 1) / kQueries;
        const int64_t k_size = packed_k_size(width), v_size = packed_v_size(width);
        const int64_t head_bytes = key_blocks * (k_size + v_size) * static_cast<int64_t>(sizeof(bf16));
        const int64_t heads_at_once = std::clamp<int64_t>(kPackedBytes / std::max<int64_t>(1, head_bytes), 1,
                                                          std::max<int64_t>(1, item.num_heads));
        bf16* memory = static_cast<bf16*>(runtime.reserve_shared(static_cast<size_t>(heads_at_once * head_bytes)));
        const auto block_of = [&](int64_t slot, int64_t block) {
            bf16* head = memory + slot * key_blocks * (k_size + v_size);
            return PackedHead{head + block * k_size, head + key_blocks * k_size + block * v_size};
        };

        for (int64_t head = 0; head < item.num_heads; head += heads_at_once) {
            const int64_t heads = std::min(heads_at_once, item.num_heads - head);
            runtime.parallel_for(heads * key_blocks, 4, [&](int64_t begin, int64_t end, int) {
                for (int64_t i = begin; i < end; ++i) {
                    const int64_t slot = i / key_blocks, block = i % key_blocks;
                    pack_block(item, head + slot, block * kKeys, block_of(slot, block));
                }
            });
            runtime.parallel_for(heads * query_blocks, 1, [&](int64_t begin, int64_t end, int worker_idx) {
                const FlushSubnormals flush;
                for (int64_t i = begin; i < end; ++i) {
                    const int64_t slot = i / query_blocks, first = i % query_blocks * kQueries;
                    attend({.queries = item.row(first, 0, head + slot),
                            .num_queries = std::min(kQueries, item.num_patches - first),
                            .query_stride = item.stride(),
                            .keys = block_of(slot, 0),
                            .num_keys = item.num_patches,
                            .width = width,
                            .softmax_scale = softmax_scale,
                            .scratch = runtime.scratch<float>(worker_idx),
                            .out = out_data + (first * item.num_heads + head + slot) * width,
                            .out_stride = item.num_heads * width});
                }
            });
        }
    });
}

}  // namespace moonlet
