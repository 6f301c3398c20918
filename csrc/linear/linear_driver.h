#pragma once

// out[t][n] = sum over k of x[t][k] * weight[n][k] for quantised weights: x [T, K] float32, out [T, N] float32, which
// aliases nothing. One driver for every form of weights; `Weights` reads them:
//
//     using Record                                       what the activations of one token become
//     record_bytes(), scratch_bytes()
//     quantize(x, record)                                one row of K
//     dot(row, num_rows, batch, scratch)                 rows from `row` on times a batch
//     rows(row, num_rows)                                where their weights lie

#include <algorithm>

#include "common/records.h"
#include "common/runtime.h"

namespace moonlet {

template <class Weights>
void forward_linear(Runtime& runtime, const Weights& weights, const float* x, int64_t num_tokens, int64_t num_inputs,
                    int64_t num_outputs, float* out) {
    constexpr int64_t kRowsPerItem = 32;  // a tile
    using Record = typename Weights::Record;
    const int64_t record_bytes = weights.record_bytes();
    auto* memory = static_cast<std::byte*>(runtime.reserve_shared(static_cast<size_t>(num_tokens * record_bytes)));
    const Records<Record> records(memory, num_tokens, record_bytes);
    runtime.parallel_for(num_tokens, 4, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = begin; t < end; ++t) weights.quantize(x + t * num_inputs, records[t]);
    });

    // Token batches outside, so that neighbouring items share the activations and walk through the weights.
    runtime.reserve_scratch(static_cast<size_t>(weights.scratch_bytes()));
    const int64_t num_row_items = (num_outputs + kRowsPerItem - 1) / kRowsPerItem;
    const int64_t num_batches = (num_tokens + kTokenBatch - 1) / kTokenBatch;
    const int64_t grain = num_tokens > kFewTokens ? kManyTokensGrain : 1;
    runtime.parallel_for(num_row_items * num_batches, grain, [&](int64_t begin, int64_t end, int worker_idx) {
        for (int64_t item = begin; item < end; ++item) {
            const int64_t token = item / num_row_items * kTokenBatch;
            const int64_t row = item % num_row_items * kRowsPerItem;
            const int64_t num_rows = std::min(kRowsPerItem, num_outputs - row);
            const int64_t next_row = row + num_rows;
            const int64_t num_next = item + 1 < end ? std::min(kRowsPerItem, num_outputs - next_row) : 0;
            const Batch<Record> batch{records.from(token), std::min(kTokenBatch, num_tokens - token),
                                      out + token * num_outputs + row, num_outputs, weights.rows(next_row, num_next)};
            weights.dot(row, num_rows, batch, runtime.scratch<std::byte>(worker_idx));
        }
    });
}

}  // namespace moonlet
