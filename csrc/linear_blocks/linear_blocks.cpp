#include "linear_blocks/linear_blocks.h"

#include <nanobind/stl/string.h>

#include <algorithm>

#include "blocks/records.h"
#include "common/call.h"
#include "common/tensor.h"

namespace moonlet {
namespace {

constexpr int64_t kRowsPerItem = kBlockTileRows;

int64_t div_up(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

// K of a matrix whose rows take `row_bytes`; throws where they are not whole blocks.
int64_t inputs_of_row(const char* op, const BlockFormat& format, int64_t row_bytes) {
    if (row_bytes % format.block_bytes != 0) {
        throw ShapeError(std::string(op) + ": blocks: rows of " + std::to_string(row_bytes) +
                         " bytes, expected a multiple of " + std::to_string(format.block_bytes) + ", a " + format.name +
                         " block");
    }
    return row_bytes / format.block_bytes * format.block_weights;
}

}  // namespace

void linear_blocks(Runtime& runtime, const float* x, const uint8_t* blocks, int format_idx, int64_t num_tokens,
                   int64_t num_inputs, int64_t num_outputs, float* out) {
    const BlockOps& ops = *block_ops(runtime.isa());
    const int64_t row_bytes = block_format(runtime.isa(), format_idx).row_bytes(num_inputs);
    auto* memory = static_cast<std::byte*>(runtime.reserve_shared(BlockRecords::bytes(num_tokens, num_inputs)));
    const BlockRecords records(memory, num_tokens, num_inputs);
    runtime.parallel_for(num_tokens, 4, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = begin; t < end; ++t) ops.quantize(x + t * num_inputs, num_inputs, records[t]);
    });

    // Token batches outside, so that neighbouring items share the activations and walk through the weights.
    runtime.reserve_scratch(static_cast<size_t>(block_scratch_bytes(num_inputs)));
    const int64_t num_row_items = div_up(num_outputs, kRowsPerItem);
    const int64_t num_items = num_row_items * div_up(num_tokens, kBlockTokenBatch);
    runtime.parallel_for(num_items, 1, [&](int64_t begin, int64_t end, int worker_idx) {
        for (int64_t item = begin; item < end; ++item) {
            const int64_t token = item / num_row_items * kBlockTokenBatch;
            const int64_t row = item % num_row_items * kRowsPerItem;
            ops.dot[format_idx]({.rows = blocks + row * row_bytes,
                                 .num_rows = std::min(kRowsPerItem, num_outputs - row),
                                 .num_inputs = num_inputs,
                                 .records = records.from(token),
                                 .num_tokens = std::min(kBlockTokenBatch, num_tokens - token),
                                 .y = out + token * num_outputs + row,
                                 .y_stride = num_outputs,
                                 .scratch = runtime.scratch<std::byte>(worker_idx)});
        }
    });
}

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

void bind_linear_blocks(nb::module_& m) {
    m.def("linear_blocks",
          [](Runtime& runtime, const Input& x, const Input& blocks, const std::string& format_name, const Output& out) {
              const int format_idx = block_format_idx(format_name);
              Size T{"T"}, N{"N"}, row_bytes{"row bytes"};
              const auto* blocks_data = input<uint8_t>("linear_blocks: blocks", blocks, {N, row_bytes});
              const int64_t K = inputs_of_row("linear_blocks", block_format(runtime.isa(), format_idx), row_bytes);
              const float* x_data = input<float>("linear_blocks: x", x, {T, {"K", K}});
              float* out_data = output<float>("linear_blocks: out", out, {T, N});
              const Call call(runtime);
              linear_blocks(runtime, x_data, blocks_data, format_idx, T, K, N, out_data);
          });
    m.def("dequantize_blocks",
          [](Runtime& runtime, const Input& blocks, const std::string& format_name, const Output& out) {
              const int format_idx = block_format_idx(format_name);
              Size N{"N"}, row_bytes{"row bytes"};
              const auto* blocks_data = input<uint8_t>("dequantize_blocks: blocks", blocks, {N, row_bytes});
              const int64_t K = inputs_of_row("dequantize_blocks", block_format(runtime.isa(), format_idx), row_bytes);
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
