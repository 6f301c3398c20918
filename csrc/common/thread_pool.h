#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace moonlet {

// A fixed set of workers for loops of independent items. The caller is worker 0 and works too, so `num_threads` is the
// number of threads that compute.
//
// Items are claimed `grain` at a time from one atomic counter, so a worker that the system has put aside delays only
// the chunk it holds. A worker that sleeps when a loop starts and wakes after it ended finds it closed and goes back: a
// short loop never waits for a wake-up. (For the same reason a forked child, which has no workers, still computes.)
//
// Workers spin for `kSpinNanoseconds` after a loop, longer than the gap between two operations of a decode step, and
// then sleep. One loop at a time; the Runtime's lock sees to that. A loop body must not throw and must not start a
// loop.
class ThreadPool {
  public:
    explicit ThreadPool(int num_threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int num_threads() const { return num_threads_; }

    // Calls body(begin, end, worker_idx) until [0, num_items) is covered, each item once; returns when all are done.
    template <class Body>
    void parallel_for(int64_t num_items, int64_t grain, const Body& body) {
        const Call call = [](const void* context, int64_t begin, int64_t end, int worker_idx) noexcept {
            (*static_cast<const Body*>(context))(begin, end, worker_idx);
        };
        run(num_items, grain, call, &body);
    }

  private:
    using Call = void (*)(const void* context, int64_t begin, int64_t end, int worker_idx) noexcept;

    void run(int64_t num_items, int64_t grain, Call call, const void* context);
    void claim(int worker_idx);
    void work(int worker_idx);

    int num_threads_;
    std::vector<std::thread> workers_;

    // The loop in progress. Written only while it is closed and nobody is inside.
    Call call_ = nullptr;
    const void* context_ = nullptr;
    int64_t num_items_ = 0;
    int64_t grain_ = 1;

    alignas(64) std::atomic<int64_t> next_{0};         // first item nobody has claimed
    alignas(64) std::atomic<uint32_t> generation_{0};  // counts loops; workers sleep on it
    alignas(64) std::atomic<bool> open_{false};        // workers may enter the loop
    alignas(64) std::atomic<int32_t> inside_{0};       // workers that entered and have not left
    std::atomic<bool> stop_{false};
};

}  // namespace moonlet
