// The one pool of pinned threads that backends split their work over.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/function_ref.h"

namespace mixtral {

/// Runs one parallel region at a time; the calling thread is worker 0 and takes part. Between
/// regions workers spin briefly (a step is a chain of short regions), then sleep: idle uses no CPU.
/// One thread may call at a time; regions do not nest.
class ThreadPool {
 public:
  /// `n_threads` workers, the caller included; 0 means one per CPU this process may use.
  explicit ThreadPool(size_t n_threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t size() const { return threads_.size() + 1; }

  /// Calls body(worker) once on every worker, worker in [0, size()), and returns when all have
  /// returned.
  void run(FunctionRef<void(size_t worker)> body);

  /// Calls body(task, worker) for every task in [0, n_tasks). Every worker has a run of consecutive
  /// tasks, since neighbours read neighbouring memory, and takes them in order; one that is done
  /// goes on with what the others have left.
  void for_each(size_t n_tasks, FunctionRef<void(size_t task, size_t worker)> body);

 private:
  void worker_loop(size_t worker);
  void wait_for_region(uint32_t seen);

  struct alignas(64) Share {
    std::atomic<size_t> next{0};
    size_t end = 0;
  };

  using Body = FunctionRef<void(size_t)>;
  std::vector<std::thread> threads_;
  std::vector<Share> shares_;  // of the tasks, one for each worker
  const Body* body_ = nullptr;
  bool stop_ = false;
  // Each on a cache line of its own: workers poll the one and count down the other.
  alignas(64) std::atomic<uint32_t> region_{0};
  alignas(64) std::atomic<uint32_t> unfinished_{0};
  bool spin_ =
      true;  // false when there are more workers than CPUs: spinning would steal their time
};

/// CPUs this process may run on: its affinity mask and its cgroup quota, at least 1.
size_t usable_cpus();

}  // namespace mixtral
