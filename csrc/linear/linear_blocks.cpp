#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <vector>

#include "blocks/blocks.h"
#include "common/call.h"
#include "common/tensor.h"
#include "linear/linear_driver.h"

namespace moonlet {
namespace {

// Rows of blocks [N, row bytes], in the arithmetic of blocks/blocks.h.
class BlockRows {
  public:
    using Record = ActivationSpan;

    BlockRows(const uint8_t* blocks, int format_idx, int64_t num_inputs, Isa isa)
        : blocks_(blocks),
          row_bytes_(block_format(isa, format_idx).row_bytes(num_inputs)),
          num_inputs_(num_inputs),
          ops_(*block_ops(isa)),
          dot_(ops_.dot[format_idx]) {}

    int64_t record_bytes() const { return block_record_bytes(num_inputs_); }
    int64_t scratch_bytes() const { return block_scratch_bytes(num_inputs_); }
    void quantize(const float* x, Record* record) const { ops_.quantize(x, num_inputs_, record); }
    void dot(int64_t row, int64_t num_rows, const Batch<Record>& batch, std::byte* scratch) const {
        dot_({.rows = blocks_ + row * row_bytes_,
              .num_rows = num_rows,
              .num_inputs = num_inputs_,
              .records = batch.records,
              .num_tokens = batch.num_tokens,
              .y = batch.y,
              .y_stride = batch.y_stride,
              .scratch = scratch,
              .ahead = batch.ahead});
    }

    MemoryRange rows(int64_t row, int64_t num_rows) const {
        return {blocks_ + row * row_bytes_, num_rows * row_bytes_};
    }

  private:
    const uint8_t* blocks_;
    int64_t row_bytes_, num_inputs_;
    const BlockOps& ops_;
    void (*dot_)(const BlockTask&);
};

// The weights as float32, rounded as ggml rounds them. out [N, K].
void dequantize_blocks(Runtime& runtime, const uint8_t* blocks, int format_idx, int64_t num_rows, int64_t num_inputs,
                       float* out) {
    const BlockFormat& format = block_format(runtime.isa(), format_idx);
    const int64_t row_bytes = format.row_bytes(num_inputs);
    runtime.parallel_for(num_rows, 16, [&](int64_t begin, int64_t end, int) {
        WeightSpan span;
        for (int64_t row = begin; row < end; ++row) {
            for (int64_t k0 = 0; k0 < num_inputs; k0 += kSpanWeights) {
                const int64_t count = std::min(kSpanWeights, num_inputs - k0);
                format.expand(blocks + row * row_bytes + k0 / kSpanWeights * format.span_bytes(), count, span);
                for (int64_t k = 0; k < count; ++k) {
                    const int lane = group_lane(k / 32);
                    const int64_t half = k % 32 / 16;
                    const float step = span.d[lane] * static_cast<float>(span.scales[half][lane]);
                    float weight = static_cast<float>(span.codes[span_position(k)]) * step;
                    if (format.kind.minimums) {
                        weight -= span.dmin[lane] * static_cast<float>(span.minimums[half][lane]);
                    }
                    out[row * num_inputs + k0 + k] = weight;
                }
            }
        }
    });
}

}  // namespace

void bind_linear_blocks(nb::module_& m) {
    m.def("linear_blocks", [](Runtime& runtime, const Input& x, const std::vector<Input>& blocks,
                              const std::vector<std::string>& format_names, const std::vector<Output>& outs) {
        if (blocks.empty() || format_names.size() != blocks.size() || outs.size() != blocks.size()) {
            throw ShapeError("linear_blocks: " + std::to_string(blocks.size()) + " blocks, " +
                             std::to_string(format_names.size()) + " formats and " + std::to_string(outs.size()) +
                             " outs, expected as many of each, at least one");
        }
        Size T{"T"}, K{"K"};
        const float* x_data = input<float>("linear_blocks: x", x, {T, K});
        std::vector<LinearLayer<BlockRows>> layers;
        for (size_t i = 0; i < blocks.size(); ++i) {
            const int format_idx = block_format_idx(format_names[i]);
            Size N{"N"}, row_bytes{"row bytes"};
            const auto* data = input<uint8_t>("linear_blocks: blocks", blocks[i], {N, row_bytes});
            const BlockFormat& format = block_format(runtime.isa(), format_idx);
            const int64_t num_inputs = inputs_of_row("linear_blocks: blocks", format, row_bytes);
            input<float>("linear_blocks: x", x, {T, {"K", num_inputs}});
            float* out_data = output<float>("linear_blocks: out", outs[i], {T, N});
            layers.push_back({BlockRows(data, format_idx, num_inputs, runtime.isa()), N, out_data});
        }
        const Call call(runtime);
        forward_linear<BlockRows>(runtime, layers, x_data, T, K);
    });
    m.def("dequantize_blocks",
          [](Runtime& runtime, const Input& blocks, const std::string& format_name, const Output& out) {
              const int format_idx = block_format_idx(format_name);
              Size N{"N"}, row_bytes{"row bytes"};
              const auto* blocks_data = input<uint8_t>("dequantize_blocks: blocks", blocks, {N, row_bytes});
              const int64_t K =
                  inputs_of_row("dequantize_blocks: blocks", block_format(runtime.isa(), format_idx), row_bytes);
              float* out_data = output<float>("dequantize_blocks: out", out, {N, {"K", K}});
              const Call call(runtime);
              dequantize_blocks(runtime, blocks_data, format_idx, N, K, out_data);
          });
    m.def("block_size", [](const std::string& format_name) {
        const BlockFormat& format = scalar::block_formats[block_format_idx(format_name)];
        return nb::make_tuple(format.block_weights, format.block_bytes);
    });
    m.def("block_formats", [] {
        nb::list names;
        for (int idx = 0; idx < kNumBlockFormats; ++idx) names.append(scalar::block_formats[idx].name);
        return names;
    });
}

}  // namespace moonlet
