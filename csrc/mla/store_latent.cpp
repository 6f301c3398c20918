// Writes each token's latent and rotated key, rounded to float16, into its slot of the latent pages.

#include <algorithm>
#include <string>

#include "common/call.h"
#include "common/tensor.h"
#include "mla/mla.h"

namespace moonlet {

void bind_store_latent(nb::module_& m) {
    m.def("store_latent", [](Runtime& runtime, const Output& pages, const Input& latent, const Input& k_rope,
                             const Input& slots) {
        Size P{"P"}, T{"T"}, C{"kv_lora_rank"}, R{"qk_rope_head_dim"};
        const float* latent_data = input<float>("store_latent: latent", latent, {T, C});
        const float* k_rope_data = input<float>("store_latent: k_rope", k_rope, {T, R});
        const int64_t* slots_data = input<int64_t>("store_latent: slots", slots, {T});
        const int64_t kv_lora_rank = C, rope = R, width = C + R;
        f16* pages_data =
            output<f16>("store_latent: pages", pages, {P, {"page size", kPageSize}, {"latent width", width}});
        for (int64_t t = 0; t < T; ++t) {
            if (slots_data[t] < 0 || slots_data[t] >= P * kPageSize) {
                throw ShapeError("store_latent: slots[" + std::to_string(t) + "] is " + std::to_string(slots_data[t]) +
                                 ", expected 0 to " + std::to_string(P * kPageSize - 1));
            }
        }
        const Call call(runtime);
        runtime.parallel_for(T, std::max<int64_t>(1, 16384 / width), [&](int64_t begin, int64_t end, int) {
            for (int64_t t = begin; t < end; ++t) {
                f16* slot = pages_data + slots_data[t] * width;
                for (int64_t i = 0; i < kv_lora_rank; ++i) slot[i] = f32_to_f16(latent_data[t * kv_lora_rank + i]);
                for (int64_t i = 0; i < rope; ++i) slot[kv_lora_rank + i] = f32_to_f16(k_rope_data[t * rope + i]);
            }
        });
    });
}

}  // namespace moonlet
