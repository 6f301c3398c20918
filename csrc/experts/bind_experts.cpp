#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "common/call.h"
#include "common/tensor.h"
#include "experts/experts.h"

namespace moonlet {
namespace {

using Arrays = std::vector<Input>;

// Holds the arrays, so that the pointers in `layer` live as long as it does.
class Int4Experts {
  public:
    Int4Experts(Arrays gate_packed, Arrays gate_scales, Arrays up_packed, Arrays up_scales, Arrays down_packed,
                Arrays down_scales)
        : arrays_{std::move(gate_packed), std::move(gate_scales), std::move(up_packed),
                  std::move(up_scales),   std::move(down_packed), std::move(down_scales)} {
        static constexpr const char* names[] = {"gate_packed", "gate_scales", "up_packed",
                                                "up_scales",   "down_packed", "down_scales"};
        const size_t num_experts = arrays_[0].size();
        if (num_experts == 0) throw ShapeError("Int4Experts: no experts, expected at least one");
        for (size_t i = 1; i < 6; ++i) {
            if (arrays_[i].size() == num_experts) continue;
            throw ShapeError("Int4Experts: " + std::to_string(arrays_[i].size()) + " " + names[i] + ", expected " +
                             std::to_string(num_experts) + ", one for each gate_packed");
        }
        Size F{"F"}, D8{"D/8"};
        for (size_t e = 0; e < num_experts; ++e) {
            const std::string prefix = "experts." + std::to_string(e) + ".";
            const auto codes = [&](size_t i, std::initializer_list<Dim> dims) {
                return reinterpret_cast<const uint8_t*>(
                    input<int32_t>((prefix + names[i]).c_str(), arrays_[i][e], dims));
            };
            const auto scales = [&](size_t i, std::initializer_list<Dim> dims) {
                return input<bf16>((prefix + names[i]).c_str(), arrays_[i][e], dims);
            };
            const uint8_t* gate = codes(0, {F, D8});
            const int64_t D = 8 * D8;
            if (D % kGroup != 0 || F % kGroup != 0) {
                throw ShapeError(prefix + "gate_packed: F = " + std::to_string(F) + " and D = " + std::to_string(D) +
                                 ", expected multiples of 32");
            }
            const Dim D32{"D/32", D / kGroup}, F8{"F/8", F / 8}, F32{"F/32", F / kGroup}, rows{"D", D};
            layer_.experts.push_back({.gate = {gate, scales(1, {F, D32})},
                                      .up = {codes(2, {F, D8}), scales(3, {F, D32})},
                                      .down = {codes(4, {rows, F8}), scales(5, {rows, F32})}});
        }
        layer_.hidden_size = 8 * D8;
        layer_.intermediate_size = F;
    }

    const ExpertLayer& layer() const { return layer_; }

  private:
    Arrays arrays_[6];
    ExpertLayer layer_{};
};

ActivationFormat parse_activations(const std::string& name) {
    if (name == "int8") return ActivationFormat::int8;
    if (name == "bf16") return ActivationFormat::bf16;
    throw OptionError("activations " + name + ": expected int8 or bf16");
}

void check_ids(const int32_t* topk_ids, int64_t num_tokens, int64_t top_k, int64_t num_experts) {
    for (int64_t i = 0; i < num_tokens * top_k; ++i) {
        if (topk_ids[i] >= 0 && topk_ids[i] < num_experts) continue;
        throw ShapeError("experts_forward: topk_ids[" + std::to_string(i / top_k) + "][" + std::to_string(i % top_k) +
                         "] is " + std::to_string(topk_ids[i]) + ", expected 0 to " + std::to_string(num_experts - 1));
    }
}

}  // namespace

void bind_experts(nb::module_& m) {
    nb::class_<Int4Experts>(m, "Int4Experts")
        .def(nb::init<Arrays, Arrays, Arrays, Arrays, Arrays, Arrays>())
        .def_prop_ro("num_experts", [](const Int4Experts& self) { return self.layer().experts.size(); })
        .def_prop_ro("hidden_size", [](const Int4Experts& self) { return self.layer().hidden_size; })
        .def_prop_ro("intermediate_size", [](const Int4Experts& self) { return self.layer().intermediate_size; });

    m.def("experts_forward", [](Runtime& runtime, const Int4Experts& experts, const Input& x, const Input& topk_ids,
                                const Input& topk_weights, const std::string& activations, const Output& out) {
        const ExpertLayer& layer = experts.layer();
        Size T{"T"}, k{"k"};
        const Dim D{"D", layer.hidden_size};
        const float* x_data = input<float>("experts_forward: x", x, {T, D});
        const int32_t* ids_data = input<int32_t>("experts_forward: topk_ids", topk_ids, {T, k});
        const float* weights_data = input<float>("experts_forward: topk_weights", topk_weights, {T, k});
        float* out_data = output<float>("experts_forward: out", out, {T, D});
        check_ids(ids_data, T, k, static_cast<int64_t>(layer.experts.size()));
        const ActivationFormat format = parse_activations(activations);
        const Call call(runtime);
        experts_forward(runtime, layer, format, x_data, ids_data, weights_data, T, k, out_data);
    });
}

}  // namespace moonlet
