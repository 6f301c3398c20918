#include "router/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "common/call.h"
#include "common/tensor.h"

namespace moonlet {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

struct Rule {
    int64_t num_experts;
    int64_t top_k;
    float scaling;
    bool norm_topk_prob;
    int64_t n_group;
    int64_t topk_group;
};

// The indices of the `count` highest values, highest first, the lower index first among equals.
void highest_of(const float* values, int64_t size, int64_t count, int32_t* chosen) {
    int64_t held = 0;
    for (int64_t i = 0; i < size; ++i) {
        if (held == count && !(values[i] > values[chosen[held - 1]])) continue;
        int64_t at = held < count ? held++ : held - 1;
        for (; at > 0 && values[i] > values[chosen[at - 1]]; --at) chosen[at] = chosen[at - 1];
        chosen[at] = static_cast<int32_t>(i);
    }
}

// Sets every expert outside the best groups to -inf. group_scores: n_group floats; kept: topk_group ids.
void drop_groups(float* biased, const Rule& rule, float* group_scores, int32_t* kept) {
    const int64_t group_size = rule.num_experts / rule.n_group;
    for (int64_t g = 0; g < rule.n_group; ++g) {
        const float* group = biased + g * group_size;
        float best = kNever, second = kNever;
        for (int64_t i = 0; i < group_size; ++i) {
            if (group[i] > best) {
                second = best;
                best = group[i];
            } else if (group[i] > second) {
                second = group[i];
            }
        }
        group_scores[g] = group_size == 1 ? best : best + second;
    }
    highest_of(group_scores, rule.n_group, rule.topk_group, kept);
    std::sort(kept, kept + rule.topk_group);
    for (int64_t g = 0, next = 0; g < rule.n_group; ++g) {
        if (next < rule.topk_group && kept[next] == g) {
            ++next;
        } else {
            std::fill_n(biased + g * group_size, group_size, kNever);
        }
    }
}

// scores: the token's sigmoids. biased, group_scores: scratch of num_experts floats each. ids, weights: the results.
void route_row(const float* scores, const float* bias, const Rule& rule, float* biased, float* group_scores,
               int32_t* kept, int32_t* ids, float* weights) {
    for (int64_t e = 0; e < rule.num_experts; ++e) {
        const float value = scores[e] + bias[e];
        biased[e] = std::isnan(value) ? kNever : value;
    }
    if (rule.n_group > 1) drop_groups(biased, rule, group_scores, kept);
    highest_of(biased, rule.num_experts, rule.top_k, ids);
    std::sort(ids, ids + rule.top_k);
    float total = 0.0f;
    for (int64_t i = 0; i < rule.top_k; ++i) total += scores[ids[i]];
    const float divisor = rule.norm_topk_prob ? total + 1e-20f : 1.0f;
    for (int64_t i = 0; i < rule.top_k; ++i) weights[i] = scores[ids[i]] / divisor * rule.scaling;
}

void check(const Rule& rule) {
    const auto fail = [](const std::string& what) { throw ShapeError("router: " + what); };
    if (rule.n_group < 1 || rule.num_experts % rule.n_group != 0) {
        fail(std::to_string(rule.num_experts) + " experts, expected a multiple of n_group " +
             std::to_string(rule.n_group));
    }
    if (rule.topk_group < 1 || rule.topk_group > rule.n_group) {
        fail("topk_group " + std::to_string(rule.topk_group) + ", expected 1 to n_group " +
             std::to_string(rule.n_group));
    }
    const int64_t eligible = rule.num_experts / rule.n_group * rule.topk_group;
    if (rule.top_k < 1 || rule.top_k > eligible) {
        fail("top_k " + std::to_string(rule.top_k) + ", expected 1 to " + std::to_string(eligible) +
             ", the experts that can be chosen");
    }
}

}  // namespace

void bind_router(nb::module_& m) {
    m.def("router", [](Runtime& runtime, const Input& logits, const Input& bias, float scaling, bool norm_topk_prob,
                       int64_t n_group, int64_t topk_group, const Output& topk_ids, const Output& topk_weights) {
        Size T{"T"}, E{"E"}, k{"k"};
        const float* logits_data = input<float>("router: router_logits", logits, {T, E});
        const float* bias_data = input<float>("router: correction_bias", bias, {E});
        int32_t* ids_data = output<int32_t>("router: topk_ids", topk_ids, {T, k});
        float* weights_data = output<float>("router: topk_weights", topk_weights, {T, k});
        const Rule rule{E, k, scaling, norm_topk_prob, n_group, topk_group};
        check(rule);
        const int64_t size = E;
        const Call call(runtime);
        const auto sigmoid = MOONLET_PICK(runtime.isa(), sigmoid_row);
        runtime.reserve_scratch(static_cast<size_t>(size) * 4 * sizeof(float));
        runtime.parallel_for(T, std::max<int64_t>(1, 4096 / size), [&](int64_t begin, int64_t end, int worker_idx) {
            float* scores = runtime.scratch<float>(worker_idx);
            for (int64_t t = begin; t < end; ++t) {
                sigmoid(logits_data + t * size, size, scores);
                route_row(scores, bias_data, rule, scores + size, scores + 2 * size,
                          reinterpret_cast<int32_t*>(scores + 3 * size), ids_data + t * rule.top_k,
                          weights_data + t * rule.top_k);
            }
        });
    });
}

}  // namespace moonlet
