#pragma once

// Activation records of many tokens in one block of the Runtime's shared memory, for the drivers of the core.

#include <vector>

#include "common/runtime.h"
#include "int8_groups/int8_groups.h"

namespace moonlet {

class Records {
  public:
    Records(std::byte* memory, int64_t count, int64_t record_bytes) : pointers_(static_cast<size_t>(count)) {
        for (int64_t i = 0; i < count; ++i) pointers_[static_cast<size_t>(i)] = memory + i * record_bytes;
    }
    std::byte* operator[](int64_t i) const { return pointers_[static_cast<size_t>(i)]; }
    const std::byte* const* from(int64_t i) const { return pointers_.data() + i; }

  private:
    std::vector<std::byte*> pointers_;
};

// Tokens that one product takes at a time: enough for a tile's expansion to cost a few per cent, few enough for their
// records to stay near. A multiple of the six tokens of a tile's inner loop.
constexpr int64_t kTokenBatch = 192;

}  // namespace moonlet
