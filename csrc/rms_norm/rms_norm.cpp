#include "rms_norm/rms_norm.h"

#include <algorithm>

#include "common/call.h"
#include "common/tensor.h"

namespace moonlet {

void bind_rms_norm(nb::module_& m) {
    m.def("rms_norm", [](Runtime& runtime, const Input& x, const Input& weight, float eps, const Output& out) {
        Size T{"T"}, D{"D"};
        const float* x_data = input<float>("rms_norm: x", x, {T, D});
        const bf16* weight_data = input<bf16>("rms_norm: weight", weight, {D});
        float* out_data = output<float>("rms_norm: out", out, {T, D});
        const int64_t size = D;
        const Call call(runtime);
        const auto row = MOONLET_PICK(runtime.isa(), rms_norm_row);
        // A loop worth sharing has some microseconds of work for each worker.
        runtime.parallel_for(T, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, size)),
                             [&](int64_t begin, int64_t end, int) {
                                 for (int64_t t = begin; t < end; ++t) {
                                     row(x_data + t * size, weight_data, eps, size, out_data + t * size);
                                 }
                             });
    });
}

}  // namespace moonlet
