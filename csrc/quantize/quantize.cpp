// Activations quantised as the core quantises them, laid out plainly: for tests and for whoever wants to look.

#include <cstring>

#include "common/call.h"
#include "common/tensor.h"
#include "int8_groups/int8_groups.h"

namespace moonlet {

void bind_quantize(nb::module_& m) {
    m.def("quantize_int8_groups", [](Runtime& runtime, const Input& x, const Output& codes, const Output& scales) {
        Size T{"T"}, K{"K"};
        const float* x_data = input<float>("quantize_int8_groups: x", x, {T, K});
        if (K % kGroup != 0) {
            throw ShapeError("quantize_int8_groups: K is " + std::to_string(K) + ", expected a multiple of 32");
        }
        auto* codes_data = output<int8_t>("quantize_int8_groups: codes", codes, {T, K});
        auto* scales_data = output<float>("quantize_int8_groups: scales", scales, {T, {"K/32", K / kGroup}});
        const int64_t num_inputs = K;
        const Call call(runtime);
        runtime.reserve_scratch(static_cast<size_t>(int8_record_bytes(num_inputs)));
        const Int8GroupOps& ops = *int8_group_ops(runtime.isa());
        runtime.parallel_for(T, 4, [&](int64_t begin, int64_t end, int worker_idx) {
            auto* record = runtime.scratch<std::byte>(worker_idx);
            const int64_t num_groups = num_inputs / kGroup;
            for (int64_t t = begin; t < end; ++t) {
                ops.quantize_int8(x_data + t * num_inputs, num_inputs, CodeOrder::sequential, kInt8Zero, record);
                std::memcpy(codes_data + t * num_inputs, record, static_cast<size_t>(num_inputs));
                const auto* record_scales = reinterpret_cast<const float*>(record + padded_size(num_inputs));
                for (int64_t g = 0; g < num_groups; ++g) {
                    scales_data[t * num_groups + g] = record_scales[group_position(g)];
                }
            }
        });
    });
}

}  // namespace moonlet
