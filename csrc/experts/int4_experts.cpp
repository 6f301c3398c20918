// Experts as published: rows of 4-bit codes, eight consecutive inputs in an int32 from its lowest bits, and bf16
// scales, multiplied as int8_groups.h says. Weights stay where they are.

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "common/call.h"
#include "experts/bind_tokens.h"

namespace moonlet {
namespace {

using Arrays = std::vector<Input>;

struct Int4Expert {
    WeightRows matrices[3];  // by Matrix: gate [F, D], up [F, D], down [D, F]
};

struct Int4Layer {
    int64_t hidden_size;        // D
    int64_t intermediate_size;  // F
    std::vector<Int4Expert> experts;
};

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
            layer_.experts.push_back({{{gate, scales(1, {F, D32})},
                                       {codes(2, {F, D8}), scales(3, {F, D32})},
                                       {codes(4, {rows, F8}), scales(5, {rows, F32})}}});
        }
        layer_.hidden_size = 8 * D8;
        layer_.intermediate_size = F;
    }

    const Int4Layer& layer() const { return layer_; }

  private:
    Arrays arrays_[6];
    Int4Layer layer_{};
};

enum class ActivationFormat { int8, bf16 };

ActivationFormat parse_activations(const std::string& name) {
    if (name == "int8") return ActivationFormat::int8;
    if (name == "bf16") return ActivationFormat::bf16;
    throw OptionError("activations " + name + ": expected int8 or bf16");
}

// What the driver asks of weights.
class Int4Weights {
  public:
    using Record = std::byte;

    Int4Weights(const Int4Layer& layer, const Int8GroupOps& ops, ActivationFormat activations)
        : layer_(layer),
          ops_(ops),
          is_bf16_(activations == ActivationFormat::bf16),
          dot_(is_bf16_ ? ops.dot_int4_bf16 : ops.dot_int4),
          silu_mul_(is_bf16_ ? ops.silu_mul_bf16 : ops.silu_mul_int8) {}

    int64_t num_experts() const { return static_cast<int64_t>(layer_.experts.size()); }
    int64_t hidden_size() const { return layer_.hidden_size; }
    int64_t intermediate_size() const { return layer_.intermediate_size; }
    int64_t record_bytes(int64_t num_inputs) const {
        return is_bf16_ ? bf16_record_bytes(num_inputs) : int8_record_bytes(num_inputs);
    }
    int64_t scratch_bytes(int64_t num_inputs) const { return dot_scratch_bytes(num_inputs); }

    void quantize(const float* x, Record* record) const {
        if (is_bf16_) return ops_.round_bf16(x, layer_.hidden_size, record);
        ops_.quantize_int8(x, layer_.hidden_size, CodeOrder::even_odd, kInt4Zero, record);
    }
    void silu_mul(const float* gate, const float* up, int64_t g, Record* record) const {
        silu_mul_(gate, up, layer_.intermediate_size, g, record);
    }
    void dot(const Place& place, int64_t num_rows, const Batch<Record>& batch, std::byte* scratch) const {
        dot_({.rows = rows_from(place),
              .num_rows = num_rows,
              .num_inputs = num_inputs(place.matrix),
              .records = batch.records,
              .num_tokens = batch.num_tokens,
              .y = batch.y,
              .y_stride = batch.y_stride,
              .scratch = scratch,
              .ahead = batch.ahead});
    }

    MemoryRange rows(const Place& place, int64_t num_rows) const {
        return {rows_from(place).codes, num_rows * num_inputs(place.matrix) / 2};
    }

  private:
    int64_t num_inputs(Matrix matrix) const {
        return matrix == Matrix::down ? layer_.intermediate_size : layer_.hidden_size;
    }
    WeightRows rows_from(const Place& place) const {
        const Int4Expert& expert = layer_.experts[static_cast<size_t>(place.expert_idx)];
        const WeightRows& matrix = expert.matrices[static_cast<size_t>(place.matrix)];
        const int64_t inputs = num_inputs(place.matrix);
        return {matrix.codes + place.row * (inputs / 2), matrix.scales + place.row * (inputs / kGroup)};
    }

    const Int4Layer& layer_;
    const Int8GroupOps& ops_;
    bool is_bf16_;
    void (*dot_)(const DotTask&);
    void (*silu_mul_)(const float* gate, const float* up, int64_t num_inputs, int64_t g, std::byte* record);
};

}  // namespace

void bind_int4_experts(nb::module_& m) {
    nb::class_<Int4Experts>(m, "Int4Experts")
        .def(nb::init<Arrays, Arrays, Arrays, Arrays, Arrays, Arrays>())
        .def_prop_ro("num_experts", [](const Int4Experts& self) { return self.layer().experts.size(); })
        .def_prop_ro("hidden_size", [](const Int4Experts& self) { return self.layer().hidden_size; })
        .def_prop_ro("intermediate_size", [](const Int4Experts& self) { return self.layer().intermediate_size; });

    m.def("experts_forward", [](Runtime& runtime, const Int4Experts& experts, const Input& x, const Input& topk_ids,
                                const Input& topk_weights, const std::string& activations, const Output& out) {
        const Int4Weights weights(experts.layer(), *int8_group_ops(runtime.isa()), parse_activations(activations));
        const RoutedTokens tokens = routed_tokens("experts_forward", weights.num_experts(), weights.hidden_size(), x,
                                                  topk_ids, topk_weights, out);
        const Call call(runtime);
        forward_experts(runtime, weights, tokens);
    });
}

}  // namespace moonlet
