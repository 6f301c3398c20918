#include "linear_int8/linear_int8.h"

#include <algorithm>

#include "common/call.h"
#include "common/tensor.h"
#include "int8_groups/records.h"

namespace moonlet {
namespace {

constexpr int64_t kRowsPerItem = 32;

int64_t div_up(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

}  // namespace

void linear_int8(Runtime& runtime, const float* x, const uint8_t* codes, const bf16* scales, int64_t num_tokens,
                 int64_t num_inputs, int64_t num_outputs, float* out) {
    const Int8GroupOps& ops = *int8_group_ops(runtime.isa());
    const int64_t record_bytes = int8_record_bytes(num_inputs);
    auto* memory = static_cast<std::byte*>(runtime.reserve_shared(static_cast<size_t>(num_tokens * record_bytes)));
    const Records records(memory, num_tokens, record_bytes);
    runtime.parallel_for(num_tokens, 4, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = begin; t < end; ++t) {
            ops.quantize_int8(x + t * num_inputs, num_inputs, CodeOrder::sequential, kInt8Zero, records[t]);
        }
    });

    // Token batches outside, so that neighbouring items share the activations and walk through the weights.
    runtime.reserve_scratch(static_cast<size_t>(dot_scratch_bytes(num_inputs)));
    const int64_t num_row_items = div_up(num_outputs, kRowsPerItem);
    const int64_t num_items = num_row_items * div_up(num_tokens, kTokenBatch);
    const auto rows_from = [&](int64_t row) {
        return WeightRows{codes + row * num_inputs, scales + row * (num_inputs / kGroup)};
    };
    runtime.parallel_for(num_items, 1, [&](int64_t begin, int64_t end, int worker_idx) {
        for (int64_t item = begin; item < end; ++item) {
            const int64_t token = item / num_row_items * kTokenBatch;
            const int64_t row = item % num_row_items * kRowsPerItem;
            ops.dot_int8({.rows = rows_from(row),
                          .num_rows = std::min(kRowsPerItem, num_outputs - row),
                          .num_inputs = num_inputs,
                          .records = records.from(token),
                          .num_tokens = std::min(kTokenBatch, num_tokens - token),
                          .y = out + token * num_outputs + row,
                          .y_stride = num_outputs,
                          .scratch = runtime.scratch<std::byte>(worker_idx)});
        }
    });
}

void bind_linear_int8(nb::module_& m) {
    m.def("linear_int8",
          [](Runtime& runtime, const Input& x, const Input& codes, const Input& scales, const Output& out) {
              Size T{"T"}, K{"K"}, N{"N"};
              const float* x_data = input<float>("linear_int8: x", x, {T, K});
              const uint8_t* codes_data = input<uint8_t>("linear_int8: codes", codes, {N, K});
              if (K % kGroup != 0)
                  throw ShapeError("linear_int8: K is " + std::to_string(K) + ", expected a multiple of 32");
              const bf16* scales_data = input<bf16>("linear_int8: scales", scales, {N, {"K/32", K / kGroup}});
              float* out_data = output<float>("linear_int8: out", out, {T, N});
              const Call call(runtime);
              linear_int8(runtime, x_data, codes_data, scales_data, T, K, N, out_data);
          });
}

}  // namespace moonlet
