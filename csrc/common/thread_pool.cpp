#include "common/thread_pool.h"

#include <chrono>

namespace moonlet {
namespace {

constexpr int64_t kSpinNanoseconds = 50'000;

void pause() {
#ifdef MOONLET_X86
    __builtin_ia32_pause();
#endif
}

// Spins until `done()`; true if it came within the budget. The clock is read once in 64 rounds.
template <class Done>
bool spin_until(const Done& done) {
    const auto start = std::chrono::steady_clock::now();
    while (true) {
        for (int round = 0; round < 64; ++round) {
            if (done()) return true;
            pause();
        }
        const auto spent = std::chrono::steady_clock::now() - start;
        if (std::chrono::duration_cast<std::chrono::nanoseconds>(spent).count() > kSpinNanoseconds) return false;
    }
}

}  // namespace

ThreadPool::ThreadPool(int num_threads) : num_threads_(num_threads) {
    workers_.reserve(static_cast<size_t>(num_threads - 1));
    for (int worker_idx = 1; worker_idx < num_threads; ++worker_idx) {
        workers_.emplace_back([this, worker_idx] { work(worker_idx); });
    }
}

ThreadPool::~ThreadPool() {
    stop_.store(true);
    generation_.fetch_add(1);
    generation_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t num_items, int64_t grain, Call call, const void* context) {
    if (num_items <= 0) return;
    if (num_items <= grain || workers_.empty()) {
        call(context, 0, num_items, 0);
        return;
    }
    call_ = call;
    context_ = context;
    num_items_ = num_items;
    grain_ = grain;
    next_.store(0, std::memory_order_relaxed);
    open_.store(true);
    generation_.fetch_add(1);
    generation_.notify_all();

    claim(0);

    // Either a worker sees the loop closed and leaves at once, or we see that it is inside and wait for it: both sides
    // use sequentially consistent operations, so no worker can miss the closing and be missed itself.
    open_.store(false);
    const auto empty = [this] { return inside_.load() == 0; };
    while (!spin_until(empty)) std::this_thread::yield();
}

void ThreadPool::claim(int worker_idx) {
    while (true) {
        const int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
        if (begin >= num_items_) return;
        const int64_t end = begin + grain_ < num_items_ ? begin + grain_ : num_items_;
        call_(context_, begin, end, worker_idx);
    }
}

void ThreadPool::work(int worker_idx) {
    uint32_t seen = 0;
    while (true) {
        const auto changed = [this, seen] { return generation_.load(std::memory_order_acquire) != seen; };
        if (!spin_until(changed)) generation_.wait(seen, std::memory_order_acquire);
        seen = generation_.load(std::memory_order_acquire);
        if (stop_.load()) return;
        inside_.fetch_add(1);
        if (open_.load()) claim(worker_idx);
        inside_.fetch_sub(1);
    }
}

}  // namespace moonlet
