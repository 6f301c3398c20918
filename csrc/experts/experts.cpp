#include "experts/experts.h"

#include <algorithm>
#include <cstring>

#include "experts/routing.h"
#include "int8_groups/records.h"

namespace moonlet {
namespace {

// Rows of a matrix that one item of a loop computes. A multiple of 32 in gate and up, so that an item has whole groups
// of intermediate values and can requantise them. With few tokens longer items read longer runs of memory (a run starts
// slowly, until the hardware prefetches it); with many, 32 rows make a tile.
constexpr int64_t kMinRows = kGroup;
constexpr int64_t kMaxRows = 256;
constexpr int64_t kItemsPerThread = 16;  // at least, so that threads end together
constexpr int64_t kFewTokens = 4;

// Tokens computed at a time; bounds what lies between gate/up and down to 1024 * k records.
constexpr int64_t kMaxTokens = 1024;

// The core's functions for one activation format.
struct Format {
    void (*dot)(const DotTask&);
    void (*silu_mul)(const float* gate, const float* up, int64_t num_inputs, int64_t g, std::byte* record);
    int64_t (*record_bytes)(int64_t num_inputs);
};

Format format_of(const Int8GroupOps& ops, ActivationFormat activations) {
    if (activations == ActivationFormat::bf16) return {ops.dot_int4_bf16, ops.silu_mul_bf16, bf16_record_bytes};
    return {ops.dot_int4, ops.silu_mul_int8, int8_record_bytes};
}

WeightRows rows_from(const WeightRows& matrix, int64_t row, int64_t num_inputs) {
    return {matrix.codes + row * (num_inputs / 2), matrix.scales + row * (num_inputs / kGroup)};
}

// A pass over at most kMaxTokens tokens.
class Pass {
  public:
    Pass(Runtime& runtime, const ExpertLayer& layer, ActivationFormat activations, const Routing& routing,
         int64_t num_tokens)
        : runtime_(runtime),
          layer_(layer),
          routing_(routing),
          ops_(*int8_group_ops(runtime.isa())),
          activations_(activations),
          format_(format_of(ops_, activations)),
          num_tokens_(num_tokens),
          num_slots_(static_cast<int64_t>(routing.slots.size())),
          x_bytes_(format_.record_bytes(layer.hidden_size)),
          h_bytes_(format_.record_bytes(layer.intermediate_size)),
          memory_(static_cast<std::byte*>(
              runtime.reserve_shared(static_cast<size_t>(num_tokens * x_bytes_ + num_slots_ * h_bytes_)))),
          x_(memory_, num_tokens, x_bytes_),
          h_(memory_ + num_tokens * x_bytes_, num_slots_, h_bytes_) {
        slot_x_.reserve(routing.slots.size());
        for (const Slot& slot : routing.slots) slot_x_.push_back(x_[slot.token_idx]);
        const int64_t widest = std::max(layer.hidden_size, layer.intermediate_size);
        runtime.reserve_scratch(static_cast<size_t>(dot_scratch_bytes(widest)) + 2 * kResultBytes);
    }

    void prepare(const float* x) {
        runtime_.parallel_for(num_tokens_, 4, [&](int64_t begin, int64_t end, int) {
            for (int64_t t = begin; t < end; ++t) {
                const float* row = x + t * layer_.hidden_size;
                if (activations_ == ActivationFormat::bf16) {
                    ops_.round_bf16(row, layer_.hidden_size, x_[t]);
                } else {
                    ops_.quantize_int8(row, layer_.hidden_size, CodeOrder::even_odd, kInt4Zero, x_[t]);
                }
            }
        });
        if (layer_.intermediate_size % kSpan == 0) return;  // records without padding
        runtime_.parallel_for(num_slots_, 16, [&](int64_t begin, int64_t end, int) {
            std::memset(h_[begin], 0, static_cast<size_t>((end - begin) * h_bytes_));
        });
    }

    void gate_up() {
        const int64_t num_rows = layer_.intermediate_size;
        const int64_t step = rows_per_item(num_rows * static_cast<int64_t>(routing_.experts.size()));
        const int64_t items_each = (num_rows + step - 1) / step;
        const int64_t num_items = items_each * static_cast<int64_t>(routing_.experts.size());
        runtime_.parallel_for(num_items, 1, [&](int64_t begin, int64_t end, int worker_idx) {
            for (int64_t item = begin; item < end; ++item) {
                const int64_t row = item % items_each * step;
                gate_up_item(routing_.experts[static_cast<size_t>(item / items_each)], row,
                             std::min(step, num_rows - row), runtime_.scratch<std::byte>(worker_idx));
            }
        });
    }

    void down(float* out) {
        const int64_t num_rows = layer_.hidden_size;
        const int64_t step = rows_per_item(num_rows);
        runtime_.parallel_for((num_rows + step - 1) / step, 1, [&](int64_t begin, int64_t end, int worker_idx) {
            for (int64_t row = begin * step; row < std::min(end * step, num_rows); row += step) {
                down_item(row, std::min(step, num_rows - row), out, runtime_.scratch<std::byte>(worker_idx));
            }
        });
    }

  private:
    static constexpr int64_t kResultBytes = kTokenBatch * kMinRows * static_cast<int64_t>(sizeof(float));
    static_assert(kFewTokens * kMaxRows <= kTokenBatch * kMinRows);

    int64_t rows_per_item(int64_t rows_in_all) const {
        for (const ExpertTokens& expert : routing_.experts) {
            if (expert.end - expert.begin > kFewTokens) return kMinRows;
        }
        const int64_t rows = rows_in_all / (kItemsPerThread * runtime_.num_threads());
        return std::clamp(rows / kGroup * kGroup, kMinRows, kMaxRows);
    }

    // Rows `row` to `row + num_rows` of gate and up, and so whole groups of every h record of the expert.
    void gate_up_item(const ExpertTokens& expert, int64_t row, int64_t num_rows, std::byte* scratch) {
        const int64_t D = layer_.hidden_size;
        const ExpertWeights& weights = layer_.experts[static_cast<size_t>(expert.expert_idx)];
        auto* gate = reinterpret_cast<float*>(scratch);
        auto* up = reinterpret_cast<float*>(scratch + kResultBytes);
        for (int64_t slot = expert.begin; slot < expert.end; slot += kTokenBatch) {
            const int64_t count = std::min(kTokenBatch, expert.end - slot);
            DotTask task{.rows = rows_from(weights.gate, row, D),
                         .num_rows = num_rows,
                         .num_inputs = D,
                         .records = slot_x_.data() + slot,
                         .num_tokens = count,
                         .y = gate,
                         .y_stride = num_rows,
                         .scratch = scratch + 2 * kResultBytes};
            format_.dot(task);
            task.rows = rows_from(weights.up, row, D);
            task.y = up;
            format_.dot(task);
            for (int64_t i = 0; i < count; ++i) {
                for (int64_t r = 0; r < num_rows; r += kGroup) {
                    format_.silu_mul(gate + i * num_rows + r, up + i * num_rows + r, layer_.intermediate_size,
                                     (row + r) / kGroup, h_[slot + i]);
                }
            }
        }
    }

    // Columns `row` to `row + num_rows` of out. One item adds all experts, so the order of additions needs no lock.
    void down_item(int64_t row, int64_t num_rows, float* out, std::byte* scratch) {
        const int64_t D = layer_.hidden_size;
        const auto row_bytes = static_cast<size_t>(num_rows) * sizeof(float);
        auto* y = reinterpret_cast<float*>(scratch);
        for (int64_t t = 0; t < num_tokens_; ++t) std::memset(out + t * D + row, 0, row_bytes);
        for (const ExpertTokens& expert : routing_.experts) {
            const ExpertWeights& weights = layer_.experts[static_cast<size_t>(expert.expert_idx)];
            for (int64_t slot = expert.begin; slot < expert.end; slot += kTokenBatch) {
                const int64_t count = std::min(kTokenBatch, expert.end - slot);
                format_.dot({.rows = rows_from(weights.down, row, layer_.intermediate_size),
                             .num_rows = num_rows,
                             .num_inputs = layer_.intermediate_size,
                             .records = h_.from(slot),
                             .num_tokens = count,
                             .y = y,
                             .y_stride = num_rows,
                             .scratch = scratch + 2 * kResultBytes});
                for (int64_t i = 0; i < count; ++i) {
                    const Slot& target = routing_.slots[static_cast<size_t>(slot + i)];
                    ops_.add_scaled(y + i * num_rows, target.weight, num_rows, out + target.token_idx * D + row);
                }
            }
        }
    }

    Runtime& runtime_;
    const ExpertLayer& layer_;
    const Routing& routing_;
    const Int8GroupOps& ops_;
    ActivationFormat activations_;
    Format format_;
    int64_t num_tokens_;
    int64_t num_slots_;
    int64_t x_bytes_;
    int64_t h_bytes_;
    std::byte* memory_;
    Records x_;
    Records h_;                             // in the order of Routing::slots
    std::vector<const std::byte*> slot_x_;  // the record of each slot's token
};

}  // namespace

void experts_forward(Runtime& runtime, const ExpertLayer& layer, ActivationFormat activations, const float* x,
                     const int32_t* topk_ids, const float* topk_weights, int64_t num_tokens, int64_t top_k,
                     float* out) {
    for (int64_t t = 0; t < num_tokens; t += kMaxTokens) {
        const int64_t count = std::min(kMaxTokens, num_tokens - t);
        const Routing routing(topk_ids + t * top_k, topk_weights + t * top_k, count, top_k,
                              static_cast<int64_t>(layer.experts.size()));
        Pass pass(runtime, layer, activations, routing, count);
        pass.prepare(x + t * layer.hidden_size);
        pass.gate_up();
        pass.down(out + t * layer.hidden_size);
    }
}

}  // namespace moonlet
