// Compiled once for each instruction set, by mla_<isa>.cpp.

#include "common/tiles.h"
#include "mla/mla.h"

namespace moonlet::MOONLET_LEVEL {

void mla_absorb(const AbsorbWork& work) {
    axpy(Rows<const float>{work.q_nope, work.q_nope_stride}, work.num_tokens, work.nope,
         Rows<const bf16>{work.w_uk, work.kv_lora_rank}, Rows<float>{work.query, work.query_stride}, nullptr,
         work.kv_lora_rank);
}

// Turns a page's products into probabilities under the new maximum, in place; returns the factor for older sums.
static inline float softmax_page(float* scores, int64_t num_slots, float softmax_scale, float* max, float* sum_so_far) {
    constexpr int kVectors = kPageSize / kLanes;
    for (int64_t j = num_slots; j < kPageSize; ++j) scores[j] = -__builtin_inff();
    Lanes s[kVectors];
    for (int i = 0; i < kVectors; ++i) s[i] = load(scores + i * kLanes) * fill(softmax_scale);
    const float page_max = highest(
        moonlet::MOONLET_LEVEL::max(moonlet::MOONLET_LEVEL::max(s[0], s[1]), moonlet::MOONLET_LEVEL::max(s[2], s[3])));
    const float new_max = *max > page_max ? *max : page_max;
    Lanes total = zero();
    for (int i = 0; i < kVectors; ++i) {
        const Lanes p = exp(s[i] - fill(new_max));
        store(scores + i * kLanes, p);
        total = total + p;
    }
    const float factor = exp(*max - new_max);
    *sum_so_far = *sum_so_far * factor + sum(total);
    *max = new_max;
    return factor;
}

void mla_attend_span(const SpanWork& work) {
    float* const scores = work.scratch;
    float* const factors = scores + work.num_heads * kPageSize;
    for (int64_t h = 0; h < work.num_heads; ++h) {
        work.result.max[h] = -__builtin_inff();
        work.result.sum[h] = 0.0f;
    }
    for (int64_t first = 0; first < work.num_tokens; first += kPageSize) {
        const int64_t left = work.num_tokens - first;
        const int64_t num_slots = left < kPageSize ? left : kPageSize;
        const f16* page = work.pages + work.page_ids[first / kPageSize] * kPageSize * work.width;
        dot(Rows<const f16>{page, work.width}, num_slots, Rows<const float>{work.query, work.width}, work.num_heads,
            work.width, Rows<float>{scores, kPageSize});
        for (int64_t h = 0; h < work.num_heads; ++h) {
            factors[h] = softmax_page(scores + h * kPageSize, num_slots, work.softmax_scale, work.result.max + h,
                                      work.result.sum + h);
        }
        axpy(Rows<const float>{scores, kPageSize}, work.num_heads, num_slots, Rows<const f16>{page, work.width},
             Rows<float>{work.result.out, work.kv_lora_rank}, first == 0 ? nullptr : factors, work.kv_lora_rank);
    }
}

void mla_join(const Partial& into, const Partial& next, int64_t num_heads, int64_t kv_lora_rank) {
    for (int64_t h = 0; h < num_heads; ++h) {
        const float old_max = into.max[h];
        const float new_max = old_max > next.max[h] ? old_max : next.max[h];
        const float old_factor = exp(old_max - new_max);
        const float next_factor = exp(next.max[h] - new_max);
        into.max[h] = new_max;
        into.sum[h] = into.sum[h] * old_factor + next.sum[h] * next_factor;
        float* out = into.out + h * kv_lora_rank;
        const float* add = next.out + h * kv_lora_rank;
        int64_t c = 0;
        for (; c + kLanes <= kv_lora_rank; c += kLanes) {
            store(out + c, fma(load(add + c), fill(next_factor), load(out + c) * fill(old_factor)));
        }
        if (c < kv_lora_rank) {
            const int64_t rest = kv_lora_rank - c;
            const Lanes joined =
                fma(load_some(add + c, rest), fill(next_factor), load_some(out + c, rest) * fill(old_factor));
            store_some(out + c, joined, rest);
        }
    }
}

void mla_finish(const FinishWork& work) {
    for (int64_t t = 0; t < work.num_tokens; ++t) {
        float* latent = work.latent + t * work.latent_stride;
        const float inverse = 1.0f / work.sum[t * work.sum_stride];
        for (int64_t c = 0; c < work.kv_lora_rank; ++c) latent[c] *= inverse;
    }
    dot(Rows<const bf16>{work.w_uv, work.kv_lora_rank}, work.v_head_dim,
        Rows<const float>{work.latent, work.latent_stride}, work.num_tokens, work.kv_lora_rank,
        Rows<float>{work.out, work.out_stride});
}

}  // namespace moonlet::MOONLET_LEVEL
