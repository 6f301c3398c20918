#include "int8_groups/int8_groups.h"

#include "common/math_avx512.h"
#include "common/records.h"
#include "int8_groups/gemm_avx512.h"
#include "int8_groups/gemv_avx512.h"

namespace moonlet::avx512 {
namespace {

enum class Activations { int8, bf16 };

template <class Format, Activations activations>
void gemv_task(const DotTask& task) {
    constexpr bool is_int8 = activations == Activations::int8;
    const int64_t row_bytes = task.num_inputs * Format::block_bytes / kBlock, row_groups = task.num_inputs / kGroup;
    const auto multiply = [&]<int NT>(int64_t r, int64_t token, const SpanRange& spans, RowSums<NT>& sums) {
        const StoredRow row{task.rows.codes + r * row_bytes, task.rows.scales + r * row_groups, task.num_inputs};
        if constexpr (is_int8) {
            gemv_int8<Format, NT>(row, spans, task.records + token, sums);
        } else {
            gemv_bf16<NT>(row, spans, task.records + token, sums);
        }
    };
    for_few_tokens<is_int8 ? kMaxTokens : kMaxBf16Tokens>(
        task, {task.rows.codes, row_bytes}, padded_groups(task.num_inputs) / kPhases,
        is_int8 ? int8_record_bytes(kSpan) : bf16_record_bytes(kSpan), multiply);
}

template <class Format>
void dot_int8_task(const DotTask& task) {
    if (task.num_tokens <= kFewTokens) {
        gemv_task<Format, Activations::int8>(task);
    } else {
        gemm<Format>(task);
    }
}

void quantize_group(__m512 x0, __m512 x1, int64_t num_inputs, int64_t g, CodeOrder order, int64_t zero,
                    std::byte* record) {
    auto* codes = reinterpret_cast<int8_t*>(record);
    auto* scales = reinterpret_cast<float*>(record + padded_size(num_inputs));
    auto* corrections = reinterpret_cast<int32_t*>(scales + padded_groups(num_inputs));
    const __m512i abs_mask = _mm512_set1_epi32(0x7fffffff);
    const __m512i abs0 = _mm512_and_si512(_mm512_castps_si512(x0), abs_mask);
    const __m512i abs1 = _mm512_and_si512(_mm512_castps_si512(x1), abs_mask);
    const uint32_t amax_bits = _mm512_reduce_max_epu32(_mm512_max_epu32(abs0, abs1));
    const float amax = std::bit_cast<float>(amax_bits);
    const bool tiny = amax < 0x1p-100f;
    scales[group_position(g)] = tiny ? 0.0f : amax / 127.0f;
    __m512i code0 = _mm512_setzero_si512(), code1 = code0;
    if (!tiny && amax_bits < 0x7f800000u) {
        const __m512 inverse = _mm512_set1_ps(127.0f / amax);
        code0 = _mm512_cvtps_epi32(_mm512_mul_ps(x0, inverse));
        code1 = _mm512_cvtps_epi32(_mm512_mul_ps(x1, inverse));
    }
    corrections[group_position(g)] =
        static_cast<int32_t>(-zero) * _mm512_reduce_add_epi32(_mm512_add_epi32(code0, code1));
    __m128i low = _mm512_cvtepi32_epi8(code0), high = _mm512_cvtepi32_epi8(code1);
    int8_t* target = codes + g * kGroup;
    int64_t distance = 16;
    if (order == CodeOrder::even_odd) {
        const __m128i split = _mm_set_epi8(15, 13, 11, 9, 7, 5, 3, 1, 14, 12, 10, 8, 6, 4, 2, 0);
        const __m128i split_low = _mm_shuffle_epi8(low, split), split_high = _mm_shuffle_epi8(high, split);
        low = _mm_unpacklo_epi64(split_low, split_high);
        high = _mm_unpackhi_epi64(split_low, split_high);
        target = codes + g / 4 * kBlock + g % 4 * 16;
        distance = 64;
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target), low);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target + distance), high);
}

void quantize_int8(const float* x, int64_t num_inputs, CodeOrder order, int64_t zero, std::byte* record) {
    // Padding lies in the last block of codes and at the ends of scales and corrections.
    if (num_inputs % kSpan != 0) std::memset(record, 0, static_cast<size_t>(int8_record_bytes(num_inputs)));
    for (int64_t g = 0; g < num_inputs / kGroup; ++g) {
        const __m512 x0 = _mm512_loadu_ps(x + g * kGroup), x1 = _mm512_loadu_ps(x + g * kGroup + 16);
        quantize_group(x0, x1, num_inputs, g, order, zero, record);
    }
}

// The 32 values of group g, rounded, to where dword lanes meet them: value 8j + i at 16i + 4p + j.
void round_group(__m512 x0, __m512 x1, int64_t g, std::byte* record) {
    alignas(64) float values[kGroup];
    _mm512_store_ps(values, round_to_bf16(x0));
    _mm512_store_ps(values + 16, round_to_bf16(x1));
    float* target = reinterpret_cast<float*>(record) + g / 4 * kBlock + g % 4 * 4;
    const __m128i eighths = _mm_set_epi32(24, 16, 8, 0);
    for (int64_t i = 0; i < 8; ++i) {
        _mm_storeu_ps(target + 16 * i, _mm_i32gather_ps(values + i, eighths, 4));
    }
}

void round_bf16(const float* x, int64_t num_inputs, std::byte* record) {
    if (num_inputs % kBlock != 0) std::memset(record, 0, static_cast<size_t>(bf16_record_bytes(num_inputs)));
    for (int64_t g = 0; g < num_inputs / kGroup; ++g) {
        round_group(_mm512_loadu_ps(x + g * kGroup), _mm512_loadu_ps(x + g * kGroup + 16), g, record);
    }
}

__m512 silu_mul(const float* gate, const float* up) {
    return _mm512_mul_ps(silu_f32(_mm512_loadu_ps(gate)), _mm512_loadu_ps(up));
}

void silu_mul_int8(const float* gate, const float* up, int64_t num_inputs, int64_t g, std::byte* record) {
    quantize_group(silu_mul(gate, up), silu_mul(gate + 16, up + 16), num_inputs, g, CodeOrder::even_odd, kInt4Zero,
                   record);
}

void silu_mul_bf16(const float* gate, const float* up, int64_t, int64_t g, std::byte* record) {
    round_group(silu_mul(gate, up), silu_mul(gate + 16, up + 16), g, record);
}

void add_scaled(const float* y, float weight, int64_t size, float* out) {
    const __m512 w = _mm512_set1_ps(weight);
    for (int64_t i = 0; i < size; i += 16) {
        const __mmask16 mask = static_cast<__mmask16>(size - i >= 16 ? 0xffff : (1 << (size - i)) - 1);
        const __m512 sum = _mm512_fmadd_ps(w, _mm512_maskz_loadu_ps(mask, y + i), _mm512_maskz_loadu_ps(mask, out + i));
        _mm512_mask_storeu_ps(out + i, mask, sum);
    }
}

}  // namespace

const Int8GroupOps* int8_group_ops() {
    static constexpr Int8GroupOps ops{dot_int8_task<Int4>, dot_int8_task<Int8>, gemv_task<Int4, Activations::bf16>,
                                      quantize_int8,       round_bf16,          silu_mul_int8,
                                      silu_mul_bf16,       add_scaled};
    return &ops;
}

}  // namespace moonlet::avx512
