#pragma once

// Activation records of many tokens in one block of the Runtime's shared memory, for the drivers of block products.

#include <vector>

#include "blocks/blocks.h"

namespace moonlet {

class BlockRecords {
  public:
    BlockRecords(std::byte* memory, int64_t count, int64_t num_inputs) : pointers_(static_cast<size_t>(count)) {
        auto* spans = reinterpret_cast<ActivationSpan*>(memory);
        for (int64_t i = 0; i < count; ++i) pointers_[static_cast<size_t>(i)] = spans + i * num_spans(num_inputs);
    }
    static size_t bytes(int64_t count, int64_t num_inputs) {
        return static_cast<size_t>(count * num_spans(num_inputs)) * sizeof(ActivationSpan);
    }
    ActivationSpan* operator[](int64_t i) const { return pointers_[static_cast<size_t>(i)]; }
    const ActivationSpan* const* from(int64_t i) const { return pointers_.data() + i; }

  private:
    std::vector<ActivationSpan*> pointers_;
};

// Tokens that one product takes at a time: enough for a tile's expansion to cost a few per cent, few enough for their
// records to stay near. A multiple of the six tokens of a tile's inner loop.
constexpr int64_t kBlockTokenBatch = 192;

}  // namespace moonlet
