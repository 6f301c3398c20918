#pragma once

// out[t][n] = sum over k of x[t][k] * weight[n][k] for quantised weights: x [T, K] float32, out [T, N] float32, which
// aliases nothing. Layers that read the same x run as one: it is quantised once, and their rows are items of one loop.
// One driver for every form of weights; `Weights` reads them:
//
//     using Record                                       what the activations of one token become
//     record_bytes(), scratch_bytes()
//     quantize(x, record)                                one row of K
//     dot(row, num_rows, batch, scratch)                 rows from `row` on times a batch
//     rows(row, num_rows)                                where their weights lie

#include <algorithm>
#include <span>

#include "common/records.h"
#include "common/runtime.h"

namespace moonlet {

// One layer: N outputs into out [T, N].
template <class Weights>
struct LinearLayer {
    Weights weights;
    int64_t num_outputs;
    float* out;
};

// At least one layer, all of `num_inputs` inputs; x becomes the same records for each.
template <class Weights>
void forward_linear(Runtime& runtime, std::span<const LinearLayer<Weights>> layers, const float* x, int64_t num_tokens,
                    int64_t num_inputs) {
    constexpr int64_t kRowsPerItem = 32;  // a tile
    using Record = typename Weights::Record;
    const Weights& any = layers.front().weights;
    const int64_t record_bytes = any.record_bytes();
    auto* memory = static_cast<std::byte*>(runtime.reserve_shared(static_cast<size_t>(num_tokens * record_bytes)));
    const Records<Record> records(memory, num_tokens, record_bytes);
    runtime.parallel_for(num_tokens, 4, [&](int64_t begin, int64_t end, int) {
        for (int64_t t = begin; t < end; ++t) any.quantize(x + t * num_inputs, records[t]);
    });

    struct Rows {
        const LinearLayer<Weights>* layer;
        int64_t first, count;
    };
    int64_t num_row_items = 0;
    const auto items_of = [](const LinearLayer<Weights>& layer) {
        return (layer.num_outputs + kRowsPerItem - 1) / kRowsPerItem;
    };
    for (const LinearLayer<Weights>& layer : layers) num_row_items += items_of(layer);
    const auto rows_of = [&](int64_t row_item) {
        const LinearLayer<Weights>* layer = layers.data();
        for (; row_item >= items_of(*layer); ++layer) row_item -= items_of(*layer);
        const int64_t first = row_item * kRowsPerItem;
        return Rows{layer, first, std::min(kRowsPerItem, layer->num_outputs - first)};
    };

    // Token batches outside, so that neighbouring items share the activations and walk through the weights.
    runtime.reserve_scratch(static_cast<size_t>(any.scratch_bytes()));
    const int64_t num_batches = (num_tokens + kTokenBatch - 1) / kTokenBatch;
    const int64_t grain = num_tokens > 1 ? kManyTokensGrain : 1;
    runtime.parallel_for(num_row_items * num_batches, grain, [&](int64_t begin, int64_t end, int worker_idx) {
        for (int64_t item = begin; item < end; ++item) {
            const int64_t token = item / num_row_items * kTokenBatch;
            const Rows rows = rows_of(item % num_row_items);
            MemoryRange ahead;
            if (item + 1 < end) {
                const Rows next = rows_of((item + 1) % num_row_items);
                ahead = next.layer->weights.rows(next.first, next.count);
            }
            const int64_t num_outputs = rows.layer->num_outputs;
            const Batch<Record> batch{records.from(token), std::min(kTokenBatch, num_tokens - token),
                                      rows.layer->out + token * num_outputs + rows.first, num_outputs, ahead};
            rows.layer->weights.dot(rows.first, rows.count, batch, runtime.scratch<std::byte>(worker_idx));
        }
    });
}

}  // namespace moonlet
