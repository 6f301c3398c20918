#pragma once

// Multi-head latent attention over latent pages, absorbed form (DeepSeek-V2 report, arXiv 2405.04434, section 2.1).
//
// A page holds 64 slots of `width` = kv_lora_rank + qk_rope_head_dim float16: a token's latent c, then its rotated
// key. kv_b holds per head the rows W_uk [nope, kv_lora_rank] and W_uv [v, kv_lora_rank]. For each token t and head h:
//
//   query   = (q_nope W_uk, q_rope)                  q_nope added in ascending order, fused
//   score_j = (query . slot_j) * softmax_scale       sixteen lanes over `width`, folded as common/lanes.h says
//   o       = sum_j exp(score_j - max) c_j / sum_j exp(score_j - max)
//   out     = W_uv o                                 sixteen lanes over kv_lora_rank
//
// The order of additions belongs to the context alone: pages of 64 tokens in order, each with its own maximum; after
// each the running sums are scaled to the new maximum; slots are added in ascending order. Every kSpanPages pages a new
// span starts from nothing, and spans are joined in ascending order. So a token has the same bits in a decode step and
// in a prefill chunk, on one thread or many, however the spans were spread over them. Slots at or beyond a token's
// context length are never part of its arithmetic.

#include <cstddef>
#include <cstdint>

#include "common/bf16.h"
#include "common/f16.h"

namespace moonlet {

constexpr int64_t kPageSize = 64;
constexpr int64_t kSpanPages = 32;

// Unfinished attention of some heads of one token: out = sum p_j c_j, sum = sum p_j, p_j = exp(score_j - max).
struct Partial {
    float* out;  // [num_heads, kv_lora_rank]
    float* max;  // [num_heads]
    float* sum;  // [num_heads]
};

// query[t] = q_nope[t] W_uk of one head for some tokens.
struct AbsorbWork {
    const float* q_nope;
    ptrdiff_t q_nope_stride;
    int64_t num_tokens;
    int64_t nope;
    const bf16* w_uk;
    int64_t kv_lora_rank;
    float* query;
    ptrdiff_t query_stride;
};

// One span of pages for some heads of one token.
struct SpanWork {
    const float* query;  // [num_heads, width]
    int64_t num_heads;
    const f16* pages;         // [P, 64, width]
    const int32_t* page_ids;  // of the span
    int64_t num_tokens;       // visible in the span, at least 1
    int64_t width;
    int64_t kv_lora_rank;
    float softmax_scale;
    float* scratch;  // attend_scratch_floats(num_heads)
    Partial result;
};

constexpr int64_t attend_scratch_floats(int64_t num_heads) { return num_heads * (kPageSize + 1); }

// out[t] = W_uv (latent[t] / sum[t]) of one head for some tokens; latent is overwritten.
struct FinishWork {
    float* latent;
    ptrdiff_t latent_stride;
    const float* sum;
    ptrdiff_t sum_stride;
    int64_t num_tokens;
    const bf16* w_uv;
    int64_t kv_lora_rank;
    int64_t v_head_dim;
    float* out;
    ptrdiff_t out_stride;
};

#define MOONLET_MLA_FUNCTIONS                                                                         \
    void mla_absorb(const AbsorbWork& work);                                                          \
    void mla_attend_span(const SpanWork& work);                                                       \
    void mla_join(const Partial& into, const Partial& next, int64_t num_heads, int64_t kv_lora_rank); \
    void mla_finish(const FinishWork& work);

namespace scalar {
MOONLET_MLA_FUNCTIONS
}
namespace avx2 {
MOONLET_MLA_FUNCTIONS
}
namespace avx512 {
MOONLET_MLA_FUNCTIONS
}
#undef MOONLET_MLA_FUNCTIONS

}  // namespace moonlet
