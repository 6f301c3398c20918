#pragma once

#include <string>

#include "common/errors.h"

namespace moonlet {

// Throws ShapeError for the first of topk_ids [num_tokens, top_k] outside [0, num_experts).
static inline void check_expert_ids(const char* op, const int32_t* topk_ids, int64_t num_tokens, int64_t top_k,
                                    int64_t num_experts) {
    for (int64_t i = 0; i < num_tokens * top_k; ++i) {
        if (topk_ids[i] >= 0 && topk_ids[i] < num_experts) continue;
        throw ShapeError(std::string(op) + ": topk_ids[" + std::to_string(i / top_k) + "][" +
                         std::to_string(i % top_k) + "] is " + std::to_string(topk_ids[i]) + ", expected 0 to " +
                         std::to_string(num_experts - 1));
    }
}

}  // namespace moonlet
