#include "common/call.h"
#include "common/tensor.h"
#include "int8_groups/int8_groups.h"
#include "linear/linear_driver.h"

namespace moonlet {
namespace {

// Codes [N, K] with scales [N, K/32], in the arithmetic of int8_groups.h.
class Int8Weights {
  public:
    using Record = std::byte;

    Int8Weights(const WeightRows& rows, int64_t num_inputs, const Int8GroupOps& ops)
        : rows_(rows), num_inputs_(num_inputs), ops_(ops) {}

    int64_t record_bytes() const { return int8_record_bytes(num_inputs_); }
    int64_t scratch_bytes() const { return dot_scratch_bytes(num_inputs_); }
    void quantize(const float* x, Record* record) const {
        ops_.quantize_int8(x, num_inputs_, CodeOrder::sequential, kInt8Zero, record);
    }
    void dot(int64_t row, int64_t num_rows, const Batch<Record>& batch, std::byte* scratch) const {
        ops_.dot_int8({.rows = rows_from(row),
                       .num_rows = num_rows,
                       .num_inputs = num_inputs_,
                       .records = batch.records,
                       .num_tokens = batch.num_tokens,
                       .y = batch.y,
                       .y_stride = batch.y_stride,
                       .scratch = scratch,
                       .ahead = batch.ahead});
    }

    MemoryRange rows(int64_t row, int64_t num_rows) const { return {rows_from(row).codes, num_rows * num_inputs_}; }

  private:
    WeightRows rows_from(int64_t row) const {
        return {rows_.codes + row * num_inputs_, rows_.scales + row * (num_inputs_ / kGroup)};
    }

    WeightRows rows_;
    int64_t num_inputs_;
    const Int8GroupOps& ops_;
};

}  // namespace

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
              const LinearLayer<Int8Weights> layer{
                  {{codes_data, scales_data}, K, *int8_group_ops(runtime.isa())}, N, out_data};
              forward_linear<Int8Weights>(runtime, {&layer, 1}, x_data, T, K);
          });
}

}  // namespace moonlet
