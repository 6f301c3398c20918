#include "int8_groups/int8_groups.h"

#include "common/math_avx2.h"
#include "int8_groups/gemv_avx2.h"

namespace moonlet::avx2 {
namespace {

enum class Activations { int8, bf16 };

template <class Format, Activations activations, int NT>
void gemv(const DotTask& task, int64_t row, int64_t token) {
    const uint8_t* codes = task.rows.codes + row * (task.num_inputs * Format::block_bytes / kBlock);
    const bf16* scales = task.rows.scales + row * (task.num_inputs / kGroup);
    const std::byte* const* records = task.records + token;
    float* y = task.y + token * task.y_stride + row;
    if constexpr (activations == Activations::int8) {
        gemv_int8<Format, NT>(codes, scales, task.num_inputs, records, y, task.y_stride);
    } else {
        gemv_bf16<NT>(codes, scales, task.num_inputs, records, y, task.y_stride);
    }
}

template <class Format, Activations activations>
void gemv_task(const DotTask& task) {
    for (int64_t row = 0; row < task.num_rows; ++row) {
        int64_t t = 0;
        for (; t + kMaxTokens <= task.num_tokens; t += kMaxTokens) gemv<Format, activations, kMaxTokens>(task, row, t);
        for (; t < task.num_tokens; ++t) gemv<Format, activations, 1>(task, row, t);
    }
}

// The group in four vectors of 8.
struct Values {
    __m256 part[4];
};

void quantize_group(const Values& x, int64_t num_inputs, int64_t g, CodeOrder order, int64_t zero, std::byte* record) {
    auto* codes = reinterpret_cast<int8_t*>(record);
    auto* scales = reinterpret_cast<float*>(record + padded_size(num_inputs));
    auto* corrections = reinterpret_cast<int32_t*>(scales + padded_groups(num_inputs));
    const __m256i abs_mask = _mm256_set1_epi32(0x7fffffff);
    __m256i top = _mm256_setzero_si256();
    for (const __m256 part : x.part) {
        top = _mm256_max_epu32(top, _mm256_and_si256(_mm256_castps_si256(part), abs_mask));
    }
    __m128i half = _mm_max_epu32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0xb1));
    const uint32_t amax_bits = static_cast<uint32_t>(_mm_cvtsi128_si32(half));
    const float amax = std::bit_cast<float>(amax_bits);
    const bool tiny = amax < 0x1p-100f;
    scales[group_position(g)] = tiny ? 0.0f : amax / 127.0f;

    __m256i bytes = _mm256_setzero_si256();
    int32_t sum = 0;
    if (!tiny && amax_bits < 0x7f800000u) {
        const __m256 inverse = _mm256_set1_ps(127.0f / amax);
        __m256i code[4];
        for (int i = 0; i < 4; ++i) code[i] = _mm256_cvtps_epi32(_mm256_mul_ps(x.part[i], inverse));
        const __m256i total = _mm256_add_epi32(_mm256_add_epi32(code[0], code[1]), _mm256_add_epi32(code[2], code[3]));
        __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
        sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0x4e));
        sum = _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_shuffle_epi32(sums, 0xb1)));
        // Packing works within 128-bit halves and leaves dwords in the order 0 2 4 6 1 3 5 7.
        bytes = _mm256_packs_epi16(_mm256_packs_epi32(code[0], code[1]), _mm256_packs_epi32(code[2], code[3]));
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0));
    }
    corrections[group_position(g)] = static_cast<int32_t>(-zero) * sum;
    int8_t* target = codes + g * kGroup;
    int64_t distance = 16;
    if (order == CodeOrder::even_odd) {
        const __m256i split = _mm256_set_epi8(15, 13, 11, 9, 7, 5, 3, 1, 14, 12, 10, 8, 6, 4, 2, 0,  //
                                              15, 13, 11, 9, 7, 5, 3, 1, 14, 12, 10, 8, 6, 4, 2, 0);
        bytes = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(bytes, split), 0xd8);
        target = codes + g / 4 * kBlock + g % 4 * 16;
        distance = 64;
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm256_castsi256_si128(bytes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target + distance), _mm256_extracti128_si256(bytes, 1));
}

void round_group(const Values& x, int64_t g, std::byte* record) {
    alignas(32) float values[kGroup];
    for (int i = 0; i < 4; ++i) _mm256_store_ps(values + 8 * i, round_to_bf16(x.part[i]));
    float* target = reinterpret_cast<float*>(record) + g / 4 * kBlock + g % 4 * 4;
    const __m128i eighths = _mm_set_epi32(24, 16, 8, 0);
    for (int64_t i = 0; i < 8; ++i) _mm_storeu_ps(target + 16 * i, _mm_i32gather_ps(values + i, eighths, 4));
}

Values load_values(const float* x) {
    Values values;
    for (int i = 0; i < 4; ++i) values.part[i] = _mm256_loadu_ps(x + 8 * i);
    return values;
}

Values silu_mul(const float* gate, const float* up) {
    Values values = load_values(gate);
    for (int i = 0; i < 4; ++i) values.part[i] = _mm256_mul_ps(silu_f32(values.part[i]), _mm256_loadu_ps(up + 8 * i));
    return values;
}

void quantize_int8(const float* x, int64_t num_inputs, CodeOrder order, int64_t zero, std::byte* record) {
    if (num_inputs % kSpan != 0) std::memset(record, 0, static_cast<size_t>(int8_record_bytes(num_inputs)));
    for (int64_t g = 0; g < num_inputs / kGroup; ++g) {
        quantize_group(load_values(x + g * kGroup), num_inputs, g, order, zero, record);
    }
}

void round_bf16(const float* x, int64_t num_inputs, std::byte* record) {
    if (num_inputs % kBlock != 0) std::memset(record, 0, static_cast<size_t>(bf16_record_bytes(num_inputs)));
    for (int64_t g = 0; g < num_inputs / kGroup; ++g) round_group(load_values(x + g * kGroup), g, record);
}

void silu_mul_int8(const float* gate, const float* up, int64_t num_inputs, int64_t g, std::byte* record) {
    quantize_group(silu_mul(gate, up), num_inputs, g, CodeOrder::even_odd, kInt4Zero, record);
}

void silu_mul_bf16(const float* gate, const float* up, int64_t, int64_t g, std::byte* record) {
    round_group(silu_mul(gate, up), g, record);
}

void add_scaled(const float* y, float weight, int64_t size, float* out) {
    const __m256 w = _mm256_set1_ps(weight);
    int64_t i = 0;
    for (; i + 8 <= size; i += 8) {
        _mm256_storeu_ps(out + i, _mm256_fmadd_ps(w, _mm256_loadu_ps(y + i), _mm256_loadu_ps(out + i)));
    }
    for (; i < size; ++i) {
        _mm_store_ss(out + i, _mm_fmadd_ss(_mm_set_ss(weight), _mm_load_ss(y + i), _mm_load_ss(out + i)));
    }
}

}  // namespace

const Int8GroupOps* int8_group_ops() {
    static constexpr Int8GroupOps ops{gemv_task<Int4, Activations::int8>,
                                      gemv_task<Int8, Activations::int8>,
                                      gemv_task<Int4, Activations::bf16>,
                                      quantize_int8,
                                      round_bf16,
                                      silu_mul_int8,
                                      silu_mul_bf16,
                                      add_scaled};
    return &ops;
}

}  // namespace moonlet::avx2
