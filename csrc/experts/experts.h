#pragma once

// The routed experts of one layer: for every token, its chosen experts' SwiGLU MLPs, weighted and added in ascending
// order of expert id, whatever order the choices come in:
//
//     h = silu(gate_e x) * (up_e x)                 requantised per group of 32 (or rounded to bf16)
//     out = fma(weight, down_e h, out)              experts ascending, out from 0
//
// The products are those of int8_groups.h. Weights stay where they are, as stored: rows of 4-bit codes, eight
// consecutive inputs in an int32 from its lowest bits, and bf16 scales. D hidden, F moe_intermediate_size, both
// multiples of 32.

#include <cstddef>
#include <vector>

#include "common/runtime.h"
#include "int8_groups/int8_groups.h"

namespace moonlet {

struct ExpertWeights {
    WeightRows gate;  // [F, D]
    WeightRows up;    // [F, D]
    WeightRows down;  // [D, F]
};

struct ExpertLayer {
    int64_t hidden_size;        // D
    int64_t intermediate_size;  // F
    std::vector<ExpertWeights> experts;
};

enum class ActivationFormat { int8, bf16 };

// x [T, D] float32, topk_ids [T, k] int32 in [0, number of experts), topk_weights [T, k] float32, out [T, D] float32,
// which aliases nothing.
void experts_forward(Runtime& runtime, const ExpertLayer& layer, ActivationFormat activations, const float* x,
                     const int32_t* topk_ids, const float* topk_weights, int64_t num_tokens, int64_t top_k, float* out);

}  // namespace moonlet
