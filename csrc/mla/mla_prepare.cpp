// What attention needs of new tokens, from two projections of each: its queries split and rotated, its latent normed
// and its key rotated, both written into the token's slot of the latent pages, rounded to float16.
//
// Rotation turns interleaved pairs: (x0, x1) -> (x0 cos - x1 sin, x1 cos + x0 sin), each product rounded before it is
// added. One source for all levels: plain multiplies and adds round alike however the compiler vectorises them.

#include <algorithm>
#include <cstring>
#include <string>

#include "common/call.h"
#include "common/tensor.h"
#include "mla/mla.h"
#include "rms_norm/rms_norm.h"

namespace moonlet {
namespace {

void rotate(const float* x, const float* cos, const float* sin, int64_t num_pairs, float* out) {
    for (int64_t i = 0; i < num_pairs; ++i) {
        const float even = x[2 * i];
        const float odd = x[2 * i + 1];
        out[2 * i] = even * cos[i] - odd * sin[i];
        out[2 * i + 1] = odd * cos[i] + even * sin[i];
    }
}

void check_slots(const int64_t* slots, int64_t num_tokens, int64_t num_slots) {
    for (int64_t t = 0; t < num_tokens; ++t) {
        if (slots[t] >= 0 && slots[t] < num_slots) continue;
        throw ShapeError("mla_prepare: slots[" + std::to_string(t) + "] is " + std::to_string(slots[t]) +
                         ", expected 0 to " + std::to_string(num_slots - 1));
    }
}

}  // namespace

void bind_mla_prepare(nb::module_& m) {
    m.def("mla_prepare", [](Runtime& runtime, const Input& q, const Input& compressed, const Input& norm, float eps,
                            const Input& cos, const Input& sin, const Output& pages, const Input& slots,
                            const Output& q_nope, const Output& q_rope) {
        Size T{"T"}, H{"H"}, nope{"nope"}, C{"kv_lora_rank"}, half{"R/2"}, P{"P"};
        const float* cos_data = input<float>("mla_prepare: cos", cos, {T, half});
        const float* sin_data = input<float>("mla_prepare: sin", sin, {T, half});
        const int64_t num_pairs = half, rope = 2 * num_pairs;
        const bf16* norm_data = input<bf16>("mla_prepare: norm", norm, {C});
        const int64_t kv_lora_rank = C, width = kv_lora_rank + rope;
        const float* compressed_data =
            input<float>("mla_prepare: compressed", compressed, {T, {"kv_lora_rank + R", width}});
        float* nope_data = output<float>("mla_prepare: q_nope", q_nope, {T, H, nope});
        float* rope_data = output<float>("mla_prepare: q_rope", q_rope, {T, H, {"R", rope}});
        const int64_t num_heads = H, nope_size = nope, head_size = nope_size + rope;
        const float* q_data = input<float>("mla_prepare: q", q, {T, H, {"nope + R", head_size}});
        f16* pages_data =
            output<f16>("mla_prepare: pages", pages, {P, {"page size", kPageSize}, {"latent width", width}});
        const int64_t* slots_data = input<int64_t>("mla_prepare: slots", slots, {T});
        check_slots(slots_data, T, P * kPageSize);

        const Call call(runtime);
        const auto norm_row = MOONLET_PICK(runtime.isa(), rms_norm_row);
        runtime.reserve_scratch(static_cast<size_t>(width) * sizeof(float));
        const int64_t token_size = num_heads * head_size + width;
        const auto prepare = [&](int64_t t, float* row) {
            const float* token_cos = cos_data + t * num_pairs;
            const float* token_sin = sin_data + t * num_pairs;
            norm_row(compressed_data + t * width, norm_data, eps, kv_lora_rank, row);
            rotate(compressed_data + t * width + kv_lora_rank, token_cos, token_sin, num_pairs, row + kv_lora_rank);
            f16* slot = pages_data + slots_data[t] * width;
            for (int64_t i = 0; i < width; ++i) slot[i] = f32_to_f16(row[i]);
            for (int64_t head = t * num_heads; head < (t + 1) * num_heads; ++head) {
                const float* from = q_data + head * head_size;
                std::memcpy(nope_data + head * nope_size, from, static_cast<size_t>(nope_size) * sizeof(float));
                rotate(from + nope_size, token_cos, token_sin, num_pairs, rope_data + head * rope);
            }
        };
        runtime.parallel_for(T, std::max<int64_t>(1, 16384 / token_size),
                             [&](int64_t begin, int64_t end, int worker_idx) {
                                 float* row = runtime.scratch<float>(worker_idx);
                                 for (int64_t t = begin; t < end; ++t) prepare(t, row);
                             });
    });
}

}  // namespace moonlet
