#include "core/thread_pool.h"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace mixtral {
namespace {

// About 50 µs on current processors: longer than any pause inside a step, shorter than anybody
// notices.
constexpr int kSpins = 2000;

cpu_set_t affinity_mask() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) CPU_SET(0, &mask);
  return mask;
}

// CPUs granted by cgroup v2's cpu.max ("max 100000" or "quota period"), rounded up; 0 if unlimited.
size_t cgroup_cpus() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return static_cast<size_t>(std::ceil(std::strtod(quota.c_str(), nullptr) / period));
}

// Pins the thread to the n-th CPU of the mask. Refusal is harmless: the thread just moves about.
void pin(pthread_t thread, const cpu_set_t& mask, size_t n) {
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask) || n-- != 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(thread, sizeof(one), &one);
    return;
  }
}

}  // namespace

size_t usable_cpus() {
  const cpu_set_t mask = affinity_mask();
  const size_t cpus = std::max<size_t>(1, static_cast<size_t>(CPU_COUNT(&mask)));
  const size_t quota = cgroup_cpus();
  return quota == 0 ? cpus : std::clamp<size_t>(quota, 1, cpus);
}

ThreadPool::ThreadPool(size_t n_threads) : shares_(n_threads == 0 ? usable_cpus() : n_threads) {
  n_threads = shares_.size();
  const cpu_set_t mask = affinity_mask();
  const auto cpus = static_cast<size_t>(CPU_COUNT(&mask));
  spin_ = n_threads <= cpus;
  threads_.reserve(n_threads - 1);
  for (size_t worker = 1; worker < n_threads; ++worker) {
    threads_.emplace_back([this, worker] { worker_loop(worker); });
    // The caller's thread is not ours to pin, so the workers leave it the first CPU.
    if (spin_ && n_threads == cpus) pin(threads_.back().native_handle(), mask, worker);
  }
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  region_.fetch_add(1, std::memory_order_release);
  region_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::wait_for_region(uint32_t seen) {
  for (int i = 0; spin_ && i < kSpins; ++i) {
    if (region_.load(std::memory_order_acquire) != seen) return;
    _mm_pause();
  }
  while (region_.load(std::memory_order_acquire) == seen)
    region_.wait(seen, std::memory_order_acquire);
}

void ThreadPool::worker_loop(size_t worker) {
  for (uint32_t seen = 0;; ++seen) {
    wait_for_region(seen);
    if (stop_) return;
    (*body_)(worker);
    unfinished_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::run(FunctionRef<void(size_t)> body) {
  if (threads_.empty()) return body(0);
  body_ = &body;
  unfinished_.store(static_cast<uint32_t>(threads_.size()), std::memory_order_relaxed);
  region_.fetch_add(1, std::memory_order_release);
  region_.notify_all();
  body(0);
  for (int i = 0; unfinished_.load(std::memory_order_acquire) != 0; ++i) {
    if (spin_ && i < kSpins) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void ThreadPool::for_each(size_t n_tasks, FunctionRef<void(size_t, size_t)> body) {
  if (n_tasks == 1) return body(0, 0);
  for (size_t worker = 0; worker < size(); ++worker) {
    shares_[worker].next.store(n_tasks * worker / size(), std::memory_order_relaxed);
    shares_[worker].end = n_tasks * (worker + 1) / size();
  }
  run([&](size_t worker) {
    for (size_t i = 0; i < size(); ++i) {
      Share& share = shares_[(worker + i) % size()];
      for (;;) {
        const size_t task = share.next.fetch_add(1, std::memory_order_relaxed);
        if (task >= share.end) break;
        body(task, worker);
      }
    }
  });
}

}  // namespace mixtral
