#pragma once

// Which tokens each expert serves: slots sorted by expert, then token.

#include <cstdint>
#include <vector>

namespace moonlet {

struct Slot {
    int32_t token_idx;
    float weight;
};

struct ExpertTokens {
    int64_t expert_idx;
    int64_t begin;  // its slots, in Routing::slots
    int64_t end;
};

struct Routing {
    std::vector<Slot> slots;            // [T * k]
    std::vector<ExpertTokens> experts;  // those with tokens, ascending

    Routing(const int32_t* topk_ids, const float* topk_weights, int64_t num_tokens, int64_t top_k, int64_t num_experts)
        : slots(static_cast<size_t>(num_tokens * top_k)) {
        std::vector<int64_t> next(static_cast<size_t>(num_experts) + 1, 0);
        for (int64_t i = 0; i < num_tokens * top_k; ++i) ++next[static_cast<size_t>(topk_ids[i]) + 1];
        for (int64_t e = 0; e < num_experts; ++e) {
            const auto idx = static_cast<size_t>(e);
            if (next[idx + 1] != 0) experts.push_back({e, next[idx], next[idx] + next[idx + 1]});
            next[idx + 1] += next[idx];
        }
        for (int64_t i = 0; i < num_tokens * top_k; ++i) {
            const auto slot = static_cast<size_t>(next[static_cast<size_t>(topk_ids[i])]++);
            slots[slot] = {static_cast<int32_t>(i / top_k), topk_weights[i]};
        }
    }
};

}  // namespace moonlet
