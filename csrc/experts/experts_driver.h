#pragma once

// The routed experts of one layer: for every token, its chosen experts' SwiGLU MLPs, weighted and added in ascending
// order of expert id, whatever order the choices come in:
//
//     h = silu(gate_e x) * (up_e x)                 requantised per group of 32 (or rounded to bf16)
//     out = fma(weight, down_e h, out)              experts ascending, out from 0
//
// D hidden, F moe_intermediate_size, both multiples of 32. One driver for every form of weights; `Weights` reads them:
//
//     using Record                                  what the activations of one token become
//     num_experts(), hidden_size(), intermediate_size()
//     record_bytes(num_inputs), scratch_bytes(num_inputs)
//     quantize(x, record)                           one row of D
//     silu_mul(gate, up, g, record)                 32 values, group g of F, into a record whose padding is zero
//     dot(place, num_rows, batch, scratch)          rows from `place` on times a batch
//     rows(place, num_rows)                         where their weights lie

#include <algorithm>
#include <cstring>

#include "common/records.h"
#include "common/runtime.h"
#include "experts/routing.h"
#include "int8_groups/int8_groups.h"

namespace moonlet {

enum class Matrix { gate, up, down };

struct Place {
    Matrix matrix;
    int64_t expert_idx;
    int64_t row;
};

// What a call works on: x [T, D] float32, topk_ids [T, k] int32 in [0, number of experts), topk_weights [T, k] float32,
// out [T, D] float32, which aliases nothing.
struct RoutedTokens {
    const float* x;
    const int32_t* topk_ids;
    const float* topk_weights;
    int64_t num_tokens;
    int64_t top_k;
    float* out;
};

// A pass over at most kMaxTokens tokens.
template <class Weights>
class ExpertsPass {
  public:
    // Bounds what lies between gate/up and down to 1024 * k records.
    static constexpr int64_t kMaxTokens = 1024;

    ExpertsPass(Runtime& runtime, const Weights& weights, const Routing& routing, int64_t num_tokens)
        : runtime_(runtime),
          weights_(weights),
          routing_(routing),
          num_tokens_(num_tokens),
          num_slots_(static_cast<int64_t>(routing.slots.size())),
          x_bytes_(weights.record_bytes(weights.hidden_size())),
          h_bytes_(weights.record_bytes(weights.intermediate_size())),
          memory_(static_cast<std::byte*>(
              runtime.reserve_shared(static_cast<size_t>(num_tokens * x_bytes_ + num_slots_ * h_bytes_)))),
          x_(memory_, num_tokens, x_bytes_),
          h_(memory_ + num_tokens * x_bytes_, num_slots_, h_bytes_) {
        slot_x_.reserve(routing.slots.size());
        for (const Slot& slot : routing.slots) slot_x_.push_back(x_[slot.token_idx]);
        const int64_t widest = std::max(weights.hidden_size(), weights.intermediate_size());
        runtime.reserve_scratch(static_cast<size_t>(weights.scratch_bytes(widest)) + 2 * kResultBytes);
    }

    void prepare(const float* x) {
        runtime_.parallel_for(num_tokens_, 4, [&](int64_t begin, int64_t end, int) {
            for (int64_t t = begin; t < end; ++t) weights_.quantize(x + t * weights_.hidden_size(), x_[t]);
        });
        if (weights_.intermediate_size() % kSpan == 0) return;  // records without padding
        runtime_.parallel_for(num_slots_, 16, [&](int64_t begin, int64_t end, int) {
            std::memset(static_cast<void*>(h_[begin]), 0, static_cast<size_t>((end - begin) * h_bytes_));
        });
    }

    void gate_up() {
        const int64_t num_rows = weights_.intermediate_size();
        const auto num_experts = static_cast<int64_t>(routing_.experts.size());
        const int64_t step = rows_per_item(num_rows * num_experts);
        const int64_t items_each = (num_rows + step - 1) / step;
        const auto gate_of = [&](int64_t item) {
            const ExpertTokens& expert = routing_.experts[static_cast<size_t>(item / items_each)];
            return Place{Matrix::gate, expert.expert_idx, item % items_each * step};
        };
        const int64_t grain = step == kMinRows ? kManyTokensGrain : 1;
        runtime_.parallel_for(items_each * num_experts, grain, [&](int64_t begin, int64_t end, int worker_idx) {
            for (int64_t item = begin; item < end; ++item) {
                const Place gate = gate_of(item);
                const MemoryRange ahead = item + 1 < end ? weights_.rows(gate_of(item + 1), kMinRows) : MemoryRange{};
                gate_up_item(routing_.experts[static_cast<size_t>(item / items_each)], gate,
                             std::min(step, num_rows - gate.row), ahead, runtime_.scratch<std::byte>(worker_idx));
            }
        });
    }

    void down(float* out) {
        const int64_t num_rows = weights_.hidden_size();
        const int64_t step = rows_per_item(num_rows);
        runtime_.parallel_for((num_rows + step - 1) / step, 1, [&](int64_t begin, int64_t end, int worker_idx) {
            for (int64_t row = begin * step; row < std::min(end * step, num_rows); row += step) {
                down_item(row, std::min(step, num_rows - row), out, runtime_.scratch<std::byte>(worker_idx));
            }
        });
    }

  private:
    using Record = typename Weights::Record;

    // Rows of a matrix that one item of a loop computes. A multiple of 32 in gate and up, so that an item has whole
    // groups of intermediate values and can requantise them. With few tokens longer items read longer runs of memory (a
    // run starts slowly, until the hardware prefetches it); with many, 32 rows make a tile.
    static constexpr int64_t kMinRows = kGroup;
    static constexpr int64_t kMaxRows = 256;
    static constexpr int64_t kItemsPerThread = 16;  // at least, so that threads end together
    static constexpr int64_t kResultBytes = kTokenBatch * kMinRows * static_cast<int64_t>(sizeof(float));
    static_assert(kFewTokens * kMaxRows <= kTokenBatch * kMinRows);

    int64_t rows_per_item(int64_t rows_in_all) const {
        for (const ExpertTokens& expert : routing_.experts) {
            if (expert.end - expert.begin > kFewTokens) return kMinRows;
        }
        const int64_t rows = rows_in_all / (kItemsPerThread * runtime_.num_threads());
        return std::clamp(rows / kGroup * kGroup, kMinRows, kMaxRows);
    }

    // `num_rows` rows of gate and up, and so whole groups of every h record of the expert.
    void gate_up_item(const ExpertTokens& expert, const Place& gate_rows, int64_t num_rows, const MemoryRange& ahead,
                      std::byte* scratch) {
        auto* gate = reinterpret_cast<float*>(scratch);
        auto* up = reinterpret_cast<float*>(scratch + kResultBytes);
        const Place up_rows{Matrix::up, expert.expert_idx, gate_rows.row};
        for (int64_t slot = expert.begin; slot < expert.end; slot += kTokenBatch) {
            const int64_t count = std::min(kTokenBatch, expert.end - slot);
            Batch<Record> batch{slot_x_.data() + slot, count, gate, num_rows, weights_.rows(up_rows, num_rows)};
            weights_.dot(gate_rows, num_rows, batch, scratch + 2 * kResultBytes);
            batch.y = up;
            batch.ahead = ahead;
            weights_.dot(up_rows, num_rows, batch, scratch + 2 * kResultBytes);
            for (int64_t i = 0; i < count; ++i) {
                for (int64_t r = 0; r < num_rows; r += kGroup) {
                    weights_.silu_mul(gate + i * num_rows + r, up + i * num_rows + r, (gate_rows.row + r) / kGroup,
                                      h_[slot + i]);
                }
            }
        }
    }

    // Columns `row` to `row + num_rows` of out. One item adds all experts, so the order of additions needs no lock.
    void down_item(int64_t row, int64_t num_rows, float* out, std::byte* scratch) {
        const int64_t D = weights_.hidden_size();
        const auto row_bytes = static_cast<size_t>(num_rows) * sizeof(float);
        const auto add_scaled = int8_group_ops(runtime_.isa())->add_scaled;
        auto* y = reinterpret_cast<float*>(scratch);
        for (int64_t t = 0; t < num_tokens_; ++t) std::memset(out + t * D + row, 0, row_bytes);
        for (size_t e = 0; e < routing_.experts.size(); ++e) {
            const ExpertTokens& expert = routing_.experts[e];
            const bool is_last = e + 1 == routing_.experts.size();
            const MemoryRange ahead =
                is_last ? MemoryRange{}
                        : weights_.rows({Matrix::down, routing_.experts[e + 1].expert_idx, row}, num_rows);
            for (int64_t slot = expert.begin; slot < expert.end; slot += kTokenBatch) {
                const int64_t count = std::min(kTokenBatch, expert.end - slot);
                weights_.dot({Matrix::down, expert.expert_idx, row}, num_rows,
                             {h_.from(slot), count, y, num_rows, ahead}, scratch + 2 * kResultBytes);
                for (int64_t i = 0; i < count; ++i) {
                    const Slot& target = routing_.slots[static_cast<size_t>(slot + i)];
                    add_scaled(y + i * num_rows, target.weight, num_rows, out + target.token_idx * D + row);
                }
            }
        }
    }

    Runtime& runtime_;
    const Weights& weights_;
    const Routing& routing_;
    int64_t num_tokens_;
    int64_t num_slots_;
    int64_t x_bytes_;
    int64_t h_bytes_;
    std::byte* memory_;
    Records<Record> x_;
    Records<Record> h_;                  // in the order of Routing::slots
    std::vector<const Record*> slot_x_;  // the record of each slot's token
};

template <class Weights>
void forward_experts(Runtime& runtime, const Weights& weights, const RoutedTokens& tokens) {
    using Pass = ExpertsPass<Weights>;
    for (int64_t t = 0; t < tokens.num_tokens; t += Pass::kMaxTokens) {
        const int64_t count = std::min(Pass::kMaxTokens, tokens.num_tokens - t);
        const Routing routing(tokens.topk_ids + t * tokens.top_k, tokens.topk_weights + t * tokens.top_k, count,
                              tokens.top_k, weights.num_experts());
        Pass pass(runtime, weights, routing, count);
        pass.prepare(tokens.x + t * weights.hidden_size());
        pass.gate_up();
        pass.down(tokens.out + t * weights.hidden_size());
    }
}

}  // namespace moonlet
