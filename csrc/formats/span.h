#pragma once

// The common form of every block format: a span of 512 consecutive weights of one row, expanded to int8 codes, small
// integer scales and minimums, and float factors. For each group g of 32 weights and each half h of it (16 weights):
//
//     weight = code * (d[g] * scales[h][g]) - dmin[g] * minimums[h][g]
//
// Every value is exact in this form, and the formula, rounded once an operation, is ggml's own to the last bit
// (formats/gguf/groups.py says the same in numpy). Source of all layouts: ggml-common.h and ggml-quants.c of llama.cpp.
//
// Codes and group values lie as sums come out of a vector of sixteen 32-bit lanes: the span is four blocks of four
// groups; a block holds the first halves of its four groups, then the second halves; the values of group 4b + p lie at
// lane 4p + b.
//
// A format is a struct with
//     kind                       which of the group values differ from the defaults below
//     weights, bytes             of one block; weights is 32 or 256
//     expand(block, g, span)     writes the groups g to g + weights/32 of a span whose other values are the defaults
// in the namespace of the instruction set that compiles it. The loops are written so that a compiler can vectorise
// them; AVX-512 reads every format by a reader of its own, in blocks/.

#include <cstdint>
#include <cstring>

#include "common/bf16.h"
#include "common/f16.h"

namespace moonlet {

constexpr int64_t kSpanWeights = 512;
constexpr int kSpanGroups = 16;

// What a product must do for a format. Defaults: scales 1, minimums 1 (of dmin 0).
struct FormatKind {
    bool scales = false;    // integer scales
    bool halves = false;    // scales and minimums differ between the halves of a group
    bool minimums = false;  // dmin is used; without `scales`, minimums are 1
};

struct alignas(64) WeightSpan {
    int8_t codes[kSpanWeights];
    int32_t scales[2][kSpanGroups];
    int32_t minimums[2][kSpanGroups];
    float d[kSpanGroups];
    float dmin[kSpanGroups];
};

static inline int group_lane(int64_t g) { return static_cast<int>(g % 4 * 4 + g / 4); }

// Where element k of a span lies among its codes.
static inline int64_t span_position(int64_t k) {
    const int64_t g = k / 32;
    return g / 4 * 128 + k % 32 / 16 * 64 + g % 4 * 16 + k % 16;
}

// The sixteen codes of half `h` of group `g`.
static inline int8_t* half_of(WeightSpan& span, int64_t g, int64_t h) {
    return span.codes + g / 4 * 128 + h * 64 + g % 4 * 16;
}

static inline float read_f16(const uint8_t* from) {
    f16 value;
    std::memcpy(&value, from, sizeof(value));
    return f16_to_f32(value);
}
static inline uint16_t read_u16(const uint8_t* from) {
    uint16_t value;
    std::memcpy(&value, from, sizeof(value));
    return value;
}
static inline uint32_t read_u32(const uint8_t* from) {
    uint32_t value;
    std::memcpy(&value, from, sizeof(value));
    return value;
}

static inline void set_scales(WeightSpan& span, int64_t g, int32_t first, int32_t second) {
    span.scales[0][group_lane(g)] = first;
    span.scales[1][group_lane(g)] = second;
}
static inline void set_minimums(WeightSpan& span, int64_t g, int32_t first, int32_t second) {
    span.minimums[0][group_lane(g)] = first;
    span.minimums[1][group_lane(g)] = second;
}
// One factor, and perhaps one of the minimums, for the eight groups of a super-block.
static inline void set_factors(WeightSpan& span, int64_t g, float d, float dmin = 0.0f) {
    for (int64_t i = g; i < g + 8; ++i) {
        span.d[group_lane(i)] = d;
        span.dmin[group_lane(i)] = dmin;
    }
}

// Sixteen bytes of nibbles: the low ones are one half, the high ones another; `offset` is added.
static inline void split_nibbles(const uint8_t* bytes, int8_t* low, int8_t* high, int offset) {
    for (int i = 0; i < 16; ++i) low[i] = static_cast<int8_t>((bytes[i] & 15) + offset);
    for (int i = 0; i < 16; ++i) high[i] = static_cast<int8_t>((bytes[i] >> 4) + offset);
}

}  // namespace moonlet
