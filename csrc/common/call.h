#pragma once

#include <nanobind/nanobind.h>

#include <mutex>

#include "common/runtime.h"

namespace moonlet {

// Held while an operation computes: the GIL is let go first and then the Runtime is taken, so a thread that waits for
// its turn never holds the GIL. Check tensors before, touch no Python object while it lives.
class Call {
  public:
    explicit Call(Runtime& runtime) : lock_(runtime.lock()) {}

  private:
    nanobind::gil_scoped_release release_;
    std::unique_lock<std::mutex> lock_;
};

}  // namespace moonlet
