#include "cpu/machine_limits.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "cpu/kernels/intrinsics.h"
#include "cpu/kernels/kernel_table.h"

namespace mixtral {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLeastReadBytes = size_t{512} << 20;
constexpr size_t kPeakSteps = 200'000;
// Other programs can only slow a run down, so the best one is the limit. Threads that have just
// begun may share a core until the system moves one: a few milliseconds say nothing.
constexpr int kRuns = 15;
constexpr std::chrono::milliseconds kLeastTime{150};

// At four places in turn: hardware that looks ahead at each gets more than it does at one.
uint64_t read_bytes(const std::byte* bytes, size_t n) {
  const size_t quarter = n / 4 / 256 * 256;
  __m128i sums[4] = {};
  for (size_t i = 0; i < 4 * quarter; i += 256) {
    const std::byte* from = bytes + i / 256 % 4 * quarter + i / 1024 * 256;
    for (size_t line = 0; line < 256; line += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(from + line + 1024), _MM_HINT_T0);
      for (size_t k = 0; k < 4; ++k) {
        const auto* at = reinterpret_cast<const __m128i*>(from + line + 16 * k);
        sums[k] = _mm_add_epi64(sums[k], _mm_load_si128(at));
      }
    }
  }
  const __m128i sum =
      _mm_add_epi64(_mm_add_epi64(sums[0], sums[1]), _mm_add_epi64(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(sum));
}

// The most units per nanosecond of kRuns runs; `work` returns the units that one worker has done.
double best_rate(ThreadPool& pool, FunctionRef<uint64_t(size_t worker)> work) {
  std::vector<uint64_t> units(pool.size() * 8);  // a line for each worker
  double best = 0;
  const auto begin = Clock::now();
  for (int run = 0; run < kRuns || Clock::now() - begin < kLeastTime; ++run) {
    const auto start = Clock::now();
    pool.run([&](size_t worker) { units[worker * 8] = work(worker); });
    const std::chrono::duration<double, std::nano> time = Clock::now() - start;
    const uint64_t total = std::accumulate(units.begin(), units.end(), uint64_t{0});
    best = std::max(best, static_cast<double>(total) / time.count());
  }
  return best;
}

// So many that few of them are still in the last-level cache when they are read again; at most an
// eighth of the machine's memory.
size_t bytes_to_read() {
  const auto value_of = [](int name) { return static_cast<size_t>(std::max(sysconf(name), 0L)); };
  const size_t memory = value_of(_SC_PHYS_PAGES) * value_of(_SC_PAGESIZE);
  return std::max(kLeastReadBytes, std::min(8 * value_of(_SC_LEVEL3_CACHE_SIZE), memory / 8));
}

double measure_reading(ThreadPool& pool) {
  const AlignedBuffer buffer(bytes_to_read());
  if (buffer.data() == nullptr) return 0;
  const size_t share = buffer.size() / pool.size() / kAlignment * kAlignment;
  pool.run([&](size_t worker) {  // pages become real, near the worker that will read them
    std::fill_n(buffer.data() + worker * share, share, static_cast<std::byte>(worker + 1));
  });
  return best_rate(pool, [&](size_t worker) -> uint64_t {
    const uint64_t sum = read_bytes(buffer.data() + worker * share, share);
    return sum == 1 ? 0 : share;  // the sum is used, so the bytes are read
  });
}

}  // namespace

double MachineLimits::peak_gops(Type type) const {
  if (!is_quantised(type)) return peak_f32_gflops;
  const bool all_bits = type == Type::kQ8_0 || type == Type::kIQ4_NL || type == Type::kIQ4_XS;
  return all_bits ? peak_int8_gops : peak_int4_gops;
}

MachineLimits measure_machine_limits(size_t n_threads, Isa isa) {
  ThreadPool pool(n_threads);
  const cpu::KernelTable& kernels = cpu::kernel_table(isa);
  const size_t steps = isa == Isa::kScalar ? kPeakSteps / 100 : kPeakSteps;
  MachineLimits limits;
  limits.peak_int8_gops = best_rate(pool, [&](size_t) { return kernels.peak_int8(steps); });
  limits.peak_int4_gops = best_rate(pool, [&](size_t) { return kernels.peak_int4(steps); });
  limits.peak_f32_gflops = best_rate(pool, [&](size_t) { return kernels.peak_f32(steps); });
  limits.read_gb_per_s = measure_reading(pool);
  return limits;
}

}  // namespace mixtral
