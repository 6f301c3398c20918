#include <cmath>
#include <cstring>

#include "common/math_scalar.h"
#include "int8_groups/int8_groups.h"

namespace moonlet::scalar {
namespace {

int32_t int4_value(const uint8_t* row, int64_t k) { return ((row[k / 2] >> (4 * (k & 1))) & 15) - int32_t{kInt4Zero}; }

struct Int4 {
    static int64_t row_bytes(int64_t num_inputs) { return num_inputs / 2; }
    static int32_t group_sum(const uint8_t* row, const int8_t* a, int64_t g) {
        const uint8_t* codes = row + g * (kGroup / 2);
        const int8_t* even = a + code_position(CodeOrder::even_odd, g * kGroup);
        const int8_t* odd = a + code_position(CodeOrder::even_odd, g * kGroup + 1);
        int32_t sum = 0;
        for (int64_t j = 0; j < kGroup / 2; ++j) {
            sum += ((codes[j] & 15) - int32_t{kInt4Zero}) * even[j] + ((codes[j] >> 4) - int32_t{kInt4Zero}) * odd[j];
        }
        return sum;
    }
};

struct Int8 {
    static int64_t row_bytes(int64_t num_inputs) { return num_inputs; }
    static int32_t group_sum(const uint8_t* row, const int8_t* a, int64_t g) {
        int32_t sum = 0;
        for (int64_t k = g * kGroup; k < (g + 1) * kGroup; ++k) sum += (row[k] - int32_t{kInt8Zero}) * a[k];
        return sum;
    }
};

float sum_four(const float* v) { return (v[0] + v[2]) + (v[1] + v[3]); }

float sum_phases(const float (&acc)[kPhases]) {
    const float sums[4] = {sum_four(acc), sum_four(acc + 4), sum_four(acc + 8), sum_four(acc + 12)};
    return sum_four(sums);
}

template <class Format>
float dot_row(const uint8_t* codes, const bf16* scales, int64_t num_inputs, const std::byte* record) {
    const auto* a = reinterpret_cast<const int8_t*>(record);
    const auto* a_scales = reinterpret_cast<const float*>(record + padded_size(num_inputs));
    float acc[kPhases] = {};
    for (int64_t g = 0; g < num_inputs / kGroup; ++g) {
        const int32_t isum = Format::group_sum(codes, a, g);
        const float t = bf16_to_f32(scales[g]) * a_scales[group_position(g)];
        acc[g % kPhases] = std::fma(static_cast<float>(isum), t, acc[g % kPhases]);
    }
    return sum_phases(acc);
}

float dot_row_bf16(const uint8_t* codes, const bf16* scales, int64_t num_inputs, const std::byte* record) {
    const auto* a = reinterpret_cast<const float*>(record);
    float acc[kPhases] = {};
    for (int64_t g = 0; g < num_inputs / kGroup; ++g) {
        float p[4] = {};
        for (int64_t k = g * kGroup; k < (g + 1) * kGroup; ++k) {
            const int64_t j = k % kGroup / 8;
            p[j] = std::fma(static_cast<float>(int4_value(codes, k)), a[bf16_position(k)], p[j]);
        }
        acc[g % kPhases] = std::fma(sum_four(p), bf16_to_f32(scales[g]), acc[g % kPhases]);
    }
    return sum_phases(acc);
}

template <class Format, float (*dot)(const uint8_t*, const bf16*, int64_t, const std::byte*)>
void dot_task(const DotTask& task) {
    const int64_t row_bytes = Format::row_bytes(task.num_inputs);
    const int64_t num_groups = task.num_inputs / kGroup;
    for (int64_t t = 0; t < task.num_tokens; ++t) {
        for (int64_t r = 0; r < task.num_rows; ++r) {
            task.y[t * task.y_stride + r] = dot(task.rows.codes + r * row_bytes, task.rows.scales + r * num_groups,
                                                task.num_inputs, task.records[t]);
        }
    }
}

void quantize_group(const float* x, int64_t num_inputs, int64_t g, CodeOrder order, int64_t zero, std::byte* record) {
    auto* codes = reinterpret_cast<int8_t*>(record);
    auto* scales = reinterpret_cast<float*>(record + padded_size(num_inputs));
    auto* corrections = reinterpret_cast<int32_t*>(scales + padded_groups(num_inputs));
    uint32_t amax_bits = 0;  // as integers, so that NaN is the greatest of all
    for (int64_t i = 0; i < kGroup; ++i) {
        const uint32_t bits = std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu;
        amax_bits = bits > amax_bits ? bits : amax_bits;
    }
    const float amax = std::bit_cast<float>(amax_bits);
    const bool tiny = amax < 0x1p-100f;
    const bool usable = !tiny && amax_bits < 0x7f800000u;
    const float inverse = 127.0f / amax;
    int32_t sum = 0;
    for (int64_t i = 0; i < kGroup; ++i) {
        const int32_t code = usable ? static_cast<int32_t>(std::nearbyint(x[i] * inverse)) : 0;
        codes[code_position(order, g * kGroup + i)] = static_cast<int8_t>(code);
        sum += code;
    }
    scales[group_position(g)] = tiny ? 0.0f : amax / 127.0f;
    corrections[group_position(g)] = static_cast<int32_t>(-zero * sum);
}

void quantize_int8(const float* x, int64_t num_inputs, CodeOrder order, int64_t zero, std::byte* record) {
    std::memset(record, 0, static_cast<size_t>(int8_record_bytes(num_inputs)));
    for (int64_t g = 0; g < num_inputs / kGroup; ++g)
        quantize_group(x + g * kGroup, num_inputs, g, order, zero, record);
}

void round_bf16(const float* x, int64_t num_inputs, std::byte* record) {
    std::memset(record, 0, static_cast<size_t>(bf16_record_bytes(num_inputs)));
    auto* a = reinterpret_cast<float*>(record);
    for (int64_t k = 0; k < num_inputs; ++k) a[bf16_position(k)] = round_to_bf16(x[k]);
}

void silu_mul_int8(const float* gate, const float* up, int64_t num_inputs, int64_t g, std::byte* record) {
    float h[kGroup];
    for (int64_t i = 0; i < kGroup; ++i) h[i] = silu_f32(gate[i]) * up[i];
    quantize_group(h, num_inputs, g, CodeOrder::even_odd, kInt4Zero, record);
}

void silu_mul_bf16(const float* gate, const float* up, int64_t, int64_t g, std::byte* record) {
    auto* a = reinterpret_cast<float*>(record);
    for (int64_t i = 0; i < kGroup; ++i) a[bf16_position(g * kGroup + i)] = round_to_bf16(silu_f32(gate[i]) * up[i]);
}

void add_scaled(const float* y, float weight, int64_t size, float* out) {
    for (int64_t i = 0; i < size; ++i) out[i] = std::fma(weight, y[i], out[i]);
}

}  // namespace

const Int8GroupOps* int8_group_ops() {
    static constexpr Int8GroupOps ops{dot_task<Int4, dot_row<Int4>>,
                                      dot_task<Int8, dot_row<Int8>>,
                                      dot_task<Int4, dot_row_bf16>,
                                      quantize_int8,
                                      round_bf16,
                                      silu_mul_int8,
                                      silu_mul_bf16,
                                      add_scaled};
    return &ops;
}

}  // namespace moonlet::scalar
