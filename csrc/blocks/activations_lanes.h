#pragma once

// Activations to records, one text for all levels: loops of 16 and 32 that a compiler vectorises.

#include <cstring>

#include "blocks/blocks.h"
#include "common/lanes.h"

namespace moonlet::MOONLET_LEVEL {
namespace {

// Values x[32] as group g of a record.
inline void quantize_group(const float* x, int64_t g, ActivationSpan* record) {
    ActivationSpan& span = record[g / kSpanGroups];
    const int64_t in_span = g % kSpanGroups;
    const int lane = group_lane(in_span);
    uint32_t bits[32], amax_bits = 0;  // as integers, so that NaN is the greatest of all
    std::memcpy(bits, x, sizeof(bits));
    for (int i = 0; i < 32; ++i) {
        const uint32_t magnitude = bits[i] & 0x7fffffffu;
        amax_bits = magnitude > amax_bits ? magnitude : amax_bits;
    }
    const float amax = std::bit_cast<float>(amax_bits);
    const bool tiny = amax < 0x1p-100f, usable = !tiny && amax_bits < 0x7f800000u;
    span.scales[lane] = tiny ? 0.0f : amax / 127.0f;
    int32_t codes[32] = {};
    if (usable) {
        // Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, and leaves it in the low bits.
        const float inverse = 127.0f / amax;
        float shifted[32];
        for (int i = 0; i < 32; ++i) shifted[i] = x[i] * inverse + 12582912.0f;
        std::memcpy(codes, shifted, sizeof(codes));
        for (int i = 0; i < 32; ++i) codes[i] -= 0x4b400000;
    }
    int32_t sums[2] = {};
    for (int h = 0; h < 2; ++h) {
        int8_t* to = span.codes + span_position(32 * in_span + 16 * h);
        for (int i = 0; i < 16; ++i) sums[h] -= codes[16 * h + i];
        for (int i = 0; i < 16; ++i) to[i] = static_cast<int8_t>(codes[16 * h + i]);
        span.negated_half_sums[h][lane] = sums[h];
    }
    span.negated_sums[lane] = sums[0] + sums[1];
}

void quantize(const float* x, int64_t num_inputs, ActivationSpan* record) {
    if (num_inputs % kSpanWeights != 0) {
        std::memset(record + num_inputs / kSpanWeights, 0, sizeof(ActivationSpan));
    }
    for (int64_t g = 0; g < num_inputs / 32; ++g) quantize_group(x + 32 * g, g, record);
}

void silu_mul(const float* gate, const float* up, int64_t g, ActivationSpan* record) {
    float h[32];
    store(h, silu(load(gate)) * load(up));
    store(h + 16, silu(load(gate + 16)) * load(up + 16));
    quantize_group(h, g, record);
}

}  // namespace
}  // namespace moonlet::MOONLET_LEVEL
