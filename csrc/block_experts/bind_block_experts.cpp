#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>

#include "block_experts/block_experts.h"
#include "common/call.h"
#include "common/tensor.h"
#include "experts/check_ids.h"

namespace moonlet {
namespace {

// Holds the arrays, so that the pointers in `layer` live as long as it does.
class BlockExpertsLayer {
  public:
    // gate, up [E, F, row bytes], down [E, D, row bytes]. Without `up`, `gate` is [E, 2F, row bytes]: the rows of gate,
    // then those of up.
    BlockExpertsLayer(Input gate, const std::string& gate_format, std::optional<Input> up, const std::string& up_format,
                      Input down, const std::string& down_format)
        : gate_(std::move(gate)), up_(std::move(up)), down_(std::move(down)) {
        Size E{"E"}, gate_rows{up_ ? "F" : "2F"}, gate_row_bytes{"row bytes"};
        const auto* gate_blocks = input<uint8_t>("gate", gate_, {E, gate_rows, gate_row_bytes});
        const int gate_idx = block_format_idx(gate_format);
        const BlockFormat& format = scalar::block_formats[gate_idx];
        if (gate_row_bytes % format.block_bytes != 0) {
            throw ShapeError("gate: rows of " + std::to_string(gate_row_bytes) + " bytes, expected a multiple of " +
                             std::to_string(format.block_bytes) + ", a " + gate_format + " block");
        }
        const int64_t D = gate_row_bytes / format.block_bytes * format.block_weights;
        const int64_t F = up_ ? gate_rows : gate_rows / 2;
        if (F % 32 != 0) throw ShapeError("gate: F = " + std::to_string(F) + ", expected a multiple of 32");
        layer_ = {.num_experts = E, .hidden_size = D, .intermediate_size = F, .gate = {}, .up = {}, .down = {}};
        layer_.gate = {gate_blocks, gate_rows * gate_row_bytes, gate_row_bytes, gate_idx};
        if (up_) {
            layer_.up = stack("up", *up_, up_format, F, D);
        } else {
            layer_.up = layer_.gate;
            layer_.up.blocks += F * gate_row_bytes;
        }
        layer_.down = stack("down", down_, down_format, D, F);
    }

    const BlockExpertLayer& layer() const { return layer_; }

  private:
    BlockStack stack(const char* name, const Input& array, const std::string& format_name, int64_t num_rows,
                     int64_t num_inputs) const {
        const int idx = block_format_idx(format_name);
        const BlockFormat& format = scalar::block_formats[idx];
        if (num_inputs % format.block_weights != 0) {
            throw ShapeError(std::string(name) + ": rows of " + std::to_string(num_inputs) +
                             " weights, expected a multiple of " + std::to_string(format.block_weights) + " in " +
                             format_name);
        }
        const int64_t bytes = format.row_bytes(num_inputs);
        const auto* blocks =
            input<uint8_t>(name, array, {{"E", layer_.num_experts}, {"rows", num_rows}, {"row bytes", bytes}});
        return {blocks, num_rows * bytes, bytes, idx};
    }

    Input gate_;
    std::optional<Input> up_;
    Input down_;
    BlockExpertLayer layer_{};
};

}  // namespace

void bind_block_experts(nb::module_& m) {
    nb::class_<BlockExpertsLayer>(m, "BlockExpertsLayer")
        .def(nb::init<Input, const std::string&, std::optional<Input>, const std::string&, Input, const std::string&>(),
             nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg())
        .def_prop_ro("num_experts", [](const BlockExpertsLayer& self) { return self.layer().num_experts; })
        .def_prop_ro("hidden_size", [](const BlockExpertsLayer& self) { return self.layer().hidden_size; })
        .def_prop_ro("intermediate_size", [](const BlockExpertsLayer& self) { return self.layer().intermediate_size; });

    m.def("block_experts_forward", [](Runtime& runtime, const BlockExpertsLayer& experts, const Input& x,
                                      const Input& topk_ids, const Input& topk_weights, const Output& out) {
        const BlockExpertLayer& layer = experts.layer();
        Size T{"T"}, k{"k"};
        const Dim D{"D", layer.hidden_size};
        const float* x_data = input<float>("block_experts_forward: x", x, {T, D});
        const int32_t* ids_data = input<int32_t>("block_experts_forward: topk_ids", topk_ids, {T, k});
        const float* weights_data = input<float>("block_experts_forward: topk_weights", topk_weights, {T, k});
        float* out_data = output<float>("block_experts_forward: out", out, {T, D});
        check_expert_ids("block_experts_forward", ids_data, T, k, layer.num_experts);
        const Call call(runtime);
        block_experts_forward(runtime, layer, x_data, ids_data, weights_data, T, k, out_data);
    });
}

}  // namespace moonlet
