#pragma once

#include <cstddef>
#include <cstdint>

namespace moonlet {

// Memory that a thread reads next. bytes = 0: nothing is known.
struct MemoryRange {
    const void* begin = nullptr;
    int64_t bytes = 0;
};

// Brings memory into the L2 cache in equal steps, while its thread computes on something else. Weights lie in rows that
// a tile reads side by side, too many streams for the hardware to foresee; asked for all at once, the lines would wait
// for one another.
class Ahead {
  public:
    Ahead(const MemoryRange& range, int64_t num_steps)
        : at_(static_cast<const std::byte*>(range.begin)),
          end_(at_ + range.bytes),
          step_bytes_((range.bytes / kLine / num_steps + 1) * kLine) {}

    void step() {
        const std::byte* stop = end_ - at_ < step_bytes_ ? end_ : at_ + step_bytes_;
        for (; at_ < stop; at_ += kLine) __builtin_prefetch(at_, 0, 2);
        at_ = stop;
    }

  private:
    static constexpr int64_t kLine = 64;

    const std::byte* at_;
    const std::byte* end_;
    int64_t step_bytes_;
};

}  // namespace moonlet
