#pragma once

// The core of every quantised product: weights as integer codes with one scale per group of 32 inputs, activations
// quantised per token to int8 with one scale per group of 32. One arithmetic, the same bits at every level, for any
// number of tokens and rows:
//
//     activations   amax = max |x| of the group;  s_a = amax / 127;  a = rne(x * (127 / amax))
//                   amax < 2^-100 counts as zero (127 / amax would overflow): a = 0, s_a = 0
//                   amax inf or NaN: a = 0, s_a = amax / 127, and so the result is NaN
//     group         isum = sum of (code - zero) * a, exact in int32;   t = f32(s_w) * s_a
//     row           acc[g mod 16] = fma(f32(isum), t, acc[g mod 16]), groups ascending
//                   s[b] = (acc[4b] + acc[4b+2]) + (acc[4b+1] + acc[4b+3]);   y = (s[0] + s[2]) + (s[1] + s[3])
//
// The sixteen phases exist since a 64-byte load of 4-bit codes holds four groups, and four such loads of one row fill a
// vector of group sums: a GEMV that reads rows one after another, as memory likes it, has phases in lanes. A GEMM has
// rows in lanes and keeps sixteen accumulators.
//
// The bf16 form takes activations rounded to bfloat16. Each product with a 4-bit code is exact in float32, and
//     p[j] = chain over i = 0..7 of fma(code[8j+i] - 8, a[8j+i], p[j]), j = 0..3;  gsum = (p[0] + p[2]) + (p[1] + p[3])
//     acc[g mod 16] = fma(gsum, f32(s_w), acc[g mod 16]);   y as above.
// 8j+i is nibble i of the group's dword j: a lane per dword, as stored.
//
// Weights, K inputs, G = K/32 groups, row-major, any alignment:
//     int4   [N, K/2] bytes: element 2j in the low and 2j+1 in the high nibble of byte j, zero 8;  scales [N, G] bf16
//     int8   [N, K] bytes, zero 128;                                                              scales [N, G] bf16
//
// Activations travel as records, one a token, padded with zeros: KP = K rounded up to 128, GP = K/32 rounded up to 16.
//     int8 record   KP codes, then GP float32 scales, then GP int32 corrections -zero * sum(a); 64-byte aligned
//     bf16 record   KP float32: element 32p + 8j + i of a block of 128 lies at 16i + 4p + j
// Codes of an int8 record are sequential for int8 weights; for int4 weights each block of 128 holds its 64 even
// elements, then its 64 odd ones, as low and high nibbles of the weights meet them. Scales and corrections lie as group
// sums come out of a vector: group 4b + p of sixteen at 4p + b.

#include <cstddef>
#include <cstdint>

#include "common/ahead.h"
#include "common/bf16.h"
#include "common/isa.h"

namespace moonlet {

constexpr int64_t kGroup = 32;
constexpr int64_t kBlock = 128;  // four groups: 64 bytes of 4-bit codes
constexpr int64_t kPhases = 16;  // groups of a span
constexpr int64_t kSpan = 512;   // four blocks
constexpr int64_t kInt4Zero = 8;
constexpr int64_t kInt8Zero = 128;

enum class CodeOrder { sequential, even_odd };

static inline int64_t round_up_to(int64_t value, int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}
static inline int64_t padded_size(int64_t num_inputs) { return round_up_to(num_inputs, kBlock); }
static inline int64_t padded_groups(int64_t num_inputs) { return round_up_to(num_inputs / kGroup, kPhases); }

static inline int64_t int8_record_bytes(int64_t num_inputs) {
    return round_up_to(padded_size(num_inputs) + 8 * padded_groups(num_inputs), 64);
}
static inline int64_t bf16_record_bytes(int64_t num_inputs) { return 4 * padded_size(num_inputs); }

// Where element k of a row lies among the codes of an int8 record, and among the floats of a bf16 record.
static inline int64_t code_position(CodeOrder order, int64_t k) {
    if (order == CodeOrder::sequential) return k;
    return k / kBlock * kBlock + (k & 1) * (kBlock / 2) + k % kBlock / 2;
}
static inline int64_t bf16_position(int64_t k) {
    return k / kBlock * kBlock + (k & 7) * 16 + k % kBlock / kGroup * 4 + k % kGroup / 8;
}
static inline int64_t group_position(int64_t g) { return g / kPhases * kPhases + g % 4 * 4 + g % kPhases / 4; }

// Consecutive rows of one matrix.
struct WeightRows {
    const uint8_t* codes;
    const bf16* scales;
};

// One product: y[t * y_stride + r] for `num_rows` rows and `num_tokens` records.
struct DotTask {
    WeightRows rows;
    int64_t num_rows;
    int64_t num_inputs;               // K, a multiple of 32
    const std::byte* const* records;  // [num_tokens]
    int64_t num_tokens;
    float* y;
    int64_t y_stride;
    std::byte* scratch;  // dot_scratch_bytes(num_inputs), 64-byte aligned
    MemoryRange ahead;   // read after this task
};

static inline int64_t dot_scratch_bytes(int64_t num_inputs) {
    return padded_groups(num_inputs) * 32 * (kGroup + 4);  // a tile of 32 rows and its scales
}

// Everything that depends on the instruction set. Tasks read their inputs and write only y and scratch.
struct Int8GroupOps {
    void (*dot_int4)(const DotTask& task);       // int8 records, even_odd, zero 8
    void (*dot_int8)(const DotTask& task);       // int8 records, sequential, zero 128
    void (*dot_int4_bf16)(const DotTask& task);  // bf16 records

    // One row x[num_inputs] into a whole record, padding included.
    void (*quantize_int8)(const float* x, int64_t num_inputs, CodeOrder order, int64_t zero, std::byte* record);
    void (*round_bf16)(const float* x, int64_t num_inputs, std::byte* record);

    // silu(gate) * up of the 32 values of group g into a record whose padding is already zero.
    void (*silu_mul_int8)(const float* gate, const float* up, int64_t num_inputs, int64_t g, std::byte* record);
    void (*silu_mul_bf16)(const float* gate, const float* up, int64_t num_inputs, int64_t g, std::byte* record);

    // out[i] = fma(weight, y[i], out[i])
    void (*add_scaled)(const float* y, float weight, int64_t size, float* out);
};

namespace scalar {
const Int8GroupOps* int8_group_ops();
}
namespace avx2 {
const Int8GroupOps* int8_group_ops();
}
namespace avx512 {
const Int8GroupOps* int8_group_ops();
}

static inline const Int8GroupOps* int8_group_ops(Isa isa) { return MOONLET_PICK(isa, int8_group_ops)(); }

}  // namespace moonlet
