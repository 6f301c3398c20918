#pragma once

// Activation records of many tokens in one block of the Runtime's shared memory, for the drivers of quantised products.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/ahead.h"

namespace moonlet {

template <class Record>
class Records {
  public:
    Records(std::byte* memory, int64_t count, int64_t record_bytes) : pointers_(static_cast<size_t>(count)) {
        for (int64_t i = 0; i < count; ++i) {
            pointers_[static_cast<size_t>(i)] = reinterpret_cast<Record*>(memory + i * record_bytes);
        }
    }
    Record* operator[](int64_t i) const { return pointers_[static_cast<size_t>(i)]; }
    const Record* const* from(int64_t i) const { return pointers_.data() + i; }

  private:
    std::vector<Record*> pointers_;
};

// What a product multiplies by, and where its results go: y[t * y_stride + r] for the r-th of its rows.
template <class Record>
struct Batch {
    const Record* const* records;  // [num_tokens]
    int64_t num_tokens;
    float* y;
    int64_t y_stride;
    MemoryRange ahead = {};  // weights that the thread multiplies by next
};

// Tokens that one product takes at a time: enough for a tile's expansion to cost a few per cent, few enough for their
// records to stay near. A multiple of the six tokens of a tile's inner loop.
constexpr int64_t kTokenBatch = 192;

// No product of so few tokens expands a tile of weights: it multiplies them as it reads them
// (of nine it would take longer, since they are read twice).
constexpr int64_t kFewTokens = 8;

// Items of 32 rows that a thread takes at a time where it fetches ahead: all but the last know what comes next.
constexpr int64_t kManyTokensGrain = 4;

}  // namespace moonlet
