#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

namespace mixtral {
namespace {

double process_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

TEST(ThreadPool, RunsTheBodyOnceOnEveryWorker) {
  for (size_t n_threads = 1; n_threads <= 8; ++n_threads) {
    ThreadPool pool(n_threads);
    ASSERT_EQ(pool.size(), n_threads);
    std::vector<int> calls(n_threads);  // plain ints: run() must order them for us
    std::vector<std::thread::id> ids(n_threads);
    pool.run([&](size_t worker) {
      ++calls[worker];
      ids[worker] = std::this_thread::get_id();
    });
    EXPECT_EQ(calls, std::vector<int>(n_threads, 1));
    EXPECT_EQ(ids[0], std::this_thread::get_id());
    for (size_t worker = 1; worker < n_threads; ++worker) EXPECT_NE(ids[worker], ids[0]);
  }
}

TEST(ThreadPool, DoesEveryTaskExactlyOnce) {
  for (size_t n_threads = 1; n_threads <= 8; ++n_threads) {
    ThreadPool pool(n_threads);
    for (const size_t n_tasks : {0u, 1u, 2u, 3u, 7u, 8u, 9u, 64u, 1000u}) {
      std::vector<int> done(n_tasks);
      std::atomic<bool> bad_worker = false;
      pool.for_each(n_tasks, [&](size_t task, size_t worker) {
        ++done[task];
        if (worker >= n_threads) bad_worker = true;
      });
      EXPECT_EQ(done, std::vector<int>(n_tasks, 1)) << n_threads << " threads";
      EXPECT_FALSE(bad_worker);
    }
  }
}

TEST(ThreadPool, SeesEarlierWritesInEveryOfManyRegions) {
  constexpr int kRegions = 10'000;
  for (size_t n_threads = 1; n_threads <= 8; ++n_threads) {
    ThreadPool pool(n_threads);
    std::vector<int> counts(n_threads);
    int shared = 0;  // written by the caller between regions, read by all inside
    bool stale = false;
    for (int region = 0; region < kRegions; ++region) {
      shared = region;
      pool.run([&](size_t worker) {
        if (shared == region) ++counts[worker];
      });
      stale |= std::accumulate(counts.begin(), counts.end(), size_t{0}) !=
               n_threads * static_cast<size_t>(region + 1);
    }
    EXPECT_FALSE(stale) << n_threads << " threads";
  }
}

TEST(ThreadPool, OneThatIsDoneGoesOnWithTheTasksOfAnother) {
  constexpr int kTasks = 8;
  ThreadPool pool(2);
  std::atomic<int> done = 0;
  bool waited_for_all = false;
  pool.for_each(kTasks, [&](size_t task, size_t) {
    if (task == 0) {
      const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (done < kTasks - 1 && std::chrono::steady_clock::now() < give_up)
        std::this_thread::yield();
      waited_for_all = done == kTasks - 1;
    }
    ++done;
  });
  EXPECT_TRUE(waited_for_all);
}

TEST(ThreadPool, UsesEveryWorkerWhenTasksAreLong) {
  ThreadPool pool(4);
  std::vector<int> tasks_of(4);
  pool.for_each(40, [&](size_t, size_t worker) {
    ++tasks_of[worker];
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  });
  for (const int tasks : tasks_of) EXPECT_GT(tasks, 0);
}

TEST(ThreadPool, UsesNoCpuWhileIdle) {
  ThreadPool pool;
  pool.run([](size_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the spinning ends
  const double before = process_cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(process_cpu_seconds() - before, 0.005);
}

TEST(ThreadPool, WakesUpAfterSleeping) {
  ThreadPool pool(3);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::vector<int> calls(3);
    pool.run([&](size_t worker) { ++calls[worker]; });
    EXPECT_EQ(calls, std::vector<int>(3, 1));
  }
}

TEST(ThreadPool, EndsWhetherUsedOrNot) {
  for (int i = 0; i < 200; ++i) {
    auto pool = std::make_unique<ThreadPool>(static_cast<size_t>(1 + i % 5));
    if (i % 2 == 0) pool->run([](size_t) {});
  }
}

TEST(ThreadPool, HasOneWorkerPerUsableCpuByDefault) {
  EXPECT_GE(usable_cpus(), 1u);
  EXPECT_EQ(ThreadPool().size(), usable_cpus());
  EXPECT_LE(usable_cpus(), static_cast<size_t>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace mixtral
