#pragma once

#include <string>

#include "common/errors.h"
#include "common/tensor.h"
#include "experts/experts_driver.h"

namespace moonlet {

// The tensors of an experts call, checked: shapes, and every id in [0, num_experts). Throws ShapeError naming `op`.
static inline RoutedTokens routed_tokens(const std::string& op, int64_t num_experts, int64_t hidden_size,
                                         const Input& x, const Input& topk_ids, const Input& topk_weights,
                                         const Output& out) {
    Size T{"T"}, k{"k"};
    const Dim D{"D", hidden_size};
    RoutedTokens tokens{};
    tokens.x = input<float>((op + ": x").c_str(), x, {T, D});
    tokens.topk_ids = input<int32_t>((op + ": topk_ids").c_str(), topk_ids, {T, k});
    tokens.topk_weights = input<float>((op + ": topk_weights").c_str(), topk_weights, {T, k});
    tokens.out = output<float>((op + ": out").c_str(), out, {T, D});
    tokens.num_tokens = T;
    tokens.top_k = k;
    for (int64_t i = 0; i < T * k; ++i) {
        const int32_t id = tokens.topk_ids[i];
        if (id >= 0 && id < num_experts) continue;
        throw ShapeError(op + ": topk_ids[" + std::to_string(i / k) + "][" + std::to_string(i % k) + "] is " +
                         std::to_string(id) + ", expected 0 to " + std::to_string(num_experts - 1));
    }
    return tokens;
}

}  // namespace moonlet
