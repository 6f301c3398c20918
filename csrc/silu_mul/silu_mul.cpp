#include "silu_mul/silu_mul.h"

#include <algorithm>

#include "common/call.h"
#include "common/tensor.h"

namespace moonlet {

void bind_silu_mul(nb::module_& m) {
    m.def("silu_mul", [](Runtime& runtime, const Input& gate_up, const Output& out) {
        Size T{"T"}, F{"F"};
        float* out_data = output<float>("silu_mul: out", out, {T, F});
        const float* in_data = input<float>("silu_mul: gate_up", gate_up, {T, {"2F", 2 * F}});
        const int64_t size = F;
        const Call call(runtime);
        const auto row = MOONLET_PICK(runtime.isa(), silu_mul_row);
        runtime.parallel_for(T, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, size)),
                             [&](int64_t begin, int64_t end, int) {
                                 for (int64_t t = begin; t < end; ++t) {
                                     row(in_data + t * 2 * size, size, out_data + t * size);
                                 }
                             });
    });
}

}  // namespace moonlet
