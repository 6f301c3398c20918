#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/isa.h"
#include "common/thread_pool.h"

namespace moonlet {

// What an operation needs besides its tensors: threads, the chosen instruction set and scratch memory. One Runtime
// serves a whole engine. Calls from several Python threads take turns (`lock`), since they would share cores anyway.
class Runtime {
  public:
    // Throws OptionError if num_threads < 1 or the level is unknown here.
    Runtime(int num_threads, const std::string& isa);

    int num_threads() const { return pool_.num_threads(); }
    Isa isa() const { return isa_; }

    // See ThreadPool::parallel_for. body(begin, end, worker_idx), worker_idx in [0, num_threads).
    template <class Body>
    void parallel_for(int64_t num_items, int64_t grain, const Body& body) {
        pool_.parallel_for(num_items, grain, body);
    }

    // Makes `bytes_each` of scratch for every worker. Call before parallel_for, never inside it: it may allocate.
    // What earlier calls left there is lost. Every scratch is 64-byte aligned, not zeroed.
    void reserve_scratch(size_t bytes_each);
    template <class T>
    T* scratch(int worker_idx) const {
        return reinterpret_cast<T*>(scratch_.get() + static_cast<size_t>(worker_idx) * scratch_bytes_each_);
    }

    // One block of `bytes` that all workers see, for what one loop hands to the next. Same rules as reserve_scratch.
    void* reserve_shared(size_t bytes);

    std::unique_lock<std::mutex> lock() { return std::unique_lock<std::mutex>(mutex_); }

  private:
    struct AlignedFree {
        void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t{4096}); }
    };
    using Memory = std::unique_ptr<std::byte, AlignedFree>;
    static Memory allocate(size_t bytes);

    Isa isa_;
    ThreadPool pool_;
    std::mutex mutex_;
    Memory scratch_;
    size_t scratch_bytes_each_ = 0;
    Memory shared_;
    size_t shared_bytes_ = 0;
};

}  // namespace moonlet
