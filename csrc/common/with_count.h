#pragma once

#include <cstdint>

namespace moonlet {

// Calls f.operator()<count>() with the run-time count, 1 to kMost, as a constant.
template <int kMost, class F>
static inline void with_count(int64_t count, const F& f) {
    if constexpr (kMost > 1) {
        if (count < kMost) return with_count<kMost - 1>(count, f);
    }
    f.template operator()<kMost>();
}

}  // namespace moonlet
