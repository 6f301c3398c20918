// Rotates interleaved pairs: (x0, x1) -> (x0 cos - x1 sin, x1 cos + x0 sin), each product rounded before it is added.
//
// x, out: [T, H, R] float32, may be the same memory. cos, sin: [T, R/2] float32. One source for all levels: the loop
// costs a thousandth of the projection that made x, and plain multiplies and adds round alike however the compiler
// vectorises them.

#include <algorithm>

#include "common/call.h"
#include "common/tensor.h"

namespace moonlet {
namespace {

void rope_row(const float* x, const float* cos, const float* sin, int64_t num_pairs, float* out) {
    for (int64_t i = 0; i < num_pairs; ++i) {
        const float even = x[2 * i];
        const float odd = x[2 * i + 1];
        out[2 * i] = even * cos[i] - odd * sin[i];
        out[2 * i + 1] = odd * cos[i] + even * sin[i];
    }
}

}  // namespace

void bind_rope(nb::module_& m) {
    m.def("rope", [](Runtime& runtime, const Input& x, const Input& cos, const Input& sin, const Output& out) {
        Size T{"T"}, H{"H"}, half{"R/2"};
        const float* cos_data = input<float>("rope: cos", cos, {T, half});
        const float* sin_data = input<float>("rope: sin", sin, {T, half});
        const int64_t num_pairs = half;
        const float* x_data = input<float>("rope: x", x, {T, H, {"R", 2 * num_pairs}});
        float* out_data = output<float>("rope: out", out, {T, H, {"R", 2 * num_pairs}});
        const int64_t num_heads = H;
        const int64_t token_size = num_heads * 2 * num_pairs;
        const Call call(runtime);
        runtime.parallel_for(T, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, token_size)),
                             [&](int64_t begin, int64_t end, int) {
                                 for (int64_t t = begin; t < end; ++t) {
                                     for (int64_t h = 0; h < num_heads; ++h) {
                                         const int64_t at = t * token_size + h * 2 * num_pairs;
                                         rope_row(x_data + at, cos_data + t * num_pairs, sin_data + t * num_pairs,
                                                  num_pairs, out_data + at);
                                     }
                                 }
                             });
    });
}

}  // namespace moonlet
