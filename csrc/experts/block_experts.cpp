// Experts whose matrices are in block formats, as stored, multiplied as blocks/blocks.h says; each kind of matrix may
// have a format of its own.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <vector>

#include "blocks/blocks.h"
#include "common/call.h"
#include "experts/bind_tokens.h"

namespace moonlet {
namespace {

// One matrix of every expert.
struct BlockStack {
    const uint8_t* blocks;  // [E, rows, row_bytes]
    int64_t expert_bytes;
    int64_t row_bytes;
    int format_idx;

    const uint8_t* row(int64_t expert_idx, int64_t row_idx) const {
        return blocks + expert_idx * expert_bytes + row_idx * row_bytes;
    }
};

struct BlockLayer {
    int64_t num_experts;
    int64_t hidden_size;        // D, whole blocks of gate and up
    int64_t intermediate_size;  // F, whole blocks of down
    BlockStack matrices[3];     // by Matrix: gate and up, F rows of D, and down, D rows of F
};

// Intermediate values are requantised in whole groups.
void check_intermediate_size(const std::string& name, int64_t F) {
    if (F % 32 != 0) throw ShapeError(name + ": F = " + std::to_string(F) + ", expected a multiple of 32");
}

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
        const int64_t D = inputs_of_row("gate", scalar::block_formats[gate_idx], gate_row_bytes);
        const int64_t F = up_ ? gate_rows : gate_rows / 2;
        check_intermediate_size("gate", F);
        layer_ = {.num_experts = E, .hidden_size = D, .intermediate_size = F, .matrices = {}};
        layer_.matrices[0] = {gate_blocks, gate_rows * gate_row_bytes, gate_row_bytes, gate_idx};
        if (up_) {
            layer_.matrices[1] = stack("up", *up_, up_format, F, D);
        } else {
            layer_.matrices[1] = layer_.matrices[0];
            layer_.matrices[1].blocks += F * gate_row_bytes;
        }
        layer_.matrices[2] = stack("down", down_, down_format, D, F);
    }

    const BlockLayer& layer() const { return layer_; }

  private:
    BlockStack stack(const char* name, const Input& array, const std::string& format_name, int64_t num_rows,
                     int64_t num_inputs) const {
        const int idx = block_format_idx(format_name);
        const int64_t bytes = bytes_of_row(name, scalar::block_formats[idx], num_inputs);
        const auto* blocks =
            input<uint8_t>(name, array, {{"E", layer_.num_experts}, {"rows", num_rows}, {"row bytes", bytes}});
        return {blocks, num_rows * bytes, bytes, idx};
    }

    Input gate_;
    std::optional<Input> up_;
    Input down_;
    BlockLayer layer_{};
};

// One SwiGLU as a layer of one expert: gate, up [F, row bytes], down [D, row bytes].
BlockLayer swiglu_layer(const Input& gate, const std::string& gate_format, const Input& up,
                        const std::string& up_format, const Input& down, const std::string& down_format) {
    const std::string op = "swiglu_blocks: ";
    Size F{"F"}, row_bytes{"row bytes"};
    const auto* gate_blocks = input<uint8_t>((op + "gate").c_str(), gate, {F, row_bytes});
    const int gate_idx = block_format_idx(gate_format);
    const int64_t D = inputs_of_row(op + "gate", scalar::block_formats[gate_idx], row_bytes);
    check_intermediate_size(op + "gate", F);
    const auto stack = [&op](const char* name, const Input& array, const std::string& format_name, int64_t num_rows,
                             int64_t num_inputs) -> BlockStack {
        const int idx = block_format_idx(format_name);
        const int64_t bytes = bytes_of_row(op + name, scalar::block_formats[idx], num_inputs);
        const auto* blocks = input<uint8_t>((op + name).c_str(), array, {{"rows", num_rows}, {"row bytes", bytes}});
        return {blocks, num_rows * bytes, bytes, idx};
    };
    return {.num_experts = 1,
            .hidden_size = D,
            .intermediate_size = F,
            .matrices = {{gate_blocks, F * row_bytes, row_bytes, gate_idx},
                         stack("up", up, up_format, F, D),
                         stack("down", down, down_format, D, F)}};
}

// What the driver asks of weights.
class BlockWeights {
  public:
    using Record = ActivationSpan;

    BlockWeights(const BlockLayer& layer, const BlockOps& ops) : layer_(layer), ops_(ops) {}

    int64_t num_experts() const { return layer_.num_experts; }
    int64_t hidden_size() const { return layer_.hidden_size; }
    int64_t intermediate_size() const { return layer_.intermediate_size; }
    int64_t record_bytes(int64_t num_inputs) const { return block_record_bytes(num_inputs); }
    int64_t scratch_bytes(int64_t num_inputs) const { return block_scratch_bytes(num_inputs); }

    void quantize(const float* x, Record* record) const { ops_.quantize(x, layer_.hidden_size, record); }
    void silu_mul(const float* gate, const float* up, int64_t g, Record* record) const {
        ops_.silu_mul(gate, up, g, record);
    }
    void dot(const Place& place, int64_t num_rows, const Batch<Record>& batch, std::byte* scratch) const {
        const bool is_down = place.matrix == Matrix::down;
        ops_.dot[stack(place).format_idx]({.rows = rows_from(place),
                                           .num_rows = num_rows,
                                           .num_inputs = is_down ? layer_.intermediate_size : layer_.hidden_size,
                                           .records = batch.records,
                                           .num_tokens = batch.num_tokens,
                                           .y = batch.y,
                                           .y_stride = batch.y_stride,
                                           .scratch = scratch,
                                           .ahead = batch.ahead});
    }

    MemoryRange rows(const Place& place, int64_t num_rows) const {
        return {rows_from(place), num_rows * stack(place).row_bytes};
    }

  private:
    const BlockStack& stack(const Place& place) const { return layer_.matrices[static_cast<size_t>(place.matrix)]; }
    const uint8_t* rows_from(const Place& place) const { return stack(place).row(place.expert_idx, place.row); }

    const BlockLayer& layer_;
    const BlockOps& ops_;
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
        const BlockWeights weights(experts.layer(), *block_ops(runtime.isa()));
        const RoutedTokens tokens = routed_tokens("block_experts_forward", weights.num_experts(), weights.hidden_size(),
                                                  x, topk_ids, topk_weights, out);
        const Call call(runtime);
        forward_experts(runtime, weights, tokens);
    });

    m.def("swiglu_blocks",
          [](Runtime& runtime, const Input& x, const Input& gate, const std::string& gate_format, const Input& up,
             const std::string& up_format, const Input& down, const std::string& down_format, const Output& out) {
              const BlockLayer layer = swiglu_layer(gate, gate_format, up, up_format, down, down_format);
              Size T{"T"};
              const Dim D{"D", layer.hidden_size};
              const float* x_data = input<float>("swiglu_blocks: x", x, {T, D});
              float* out_data = output<float>("swiglu_blocks: out", out, {T, D});
              // Every token chooses the one expert, with weight 1.
              const std::vector<int32_t> ids(static_cast<size_t>(T), 0);
              const std::vector<float> ones(static_cast<size_t>(T), 1.0f);
              const Call call(runtime);
              const BlockWeights weights(layer, *block_ops(runtime.isa()));
              forward_experts(runtime, weights, {x_data, ids.data(), ones.data(), T, 1, out_data});
          });
}

}  // namespace moonlet
