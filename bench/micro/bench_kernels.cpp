// How close the matrix kernels come to the machine's limits.
//
//   streamN/TYPE/ISA   N activation rows, panels streamed from memory: GB/s of panel bytes.
//   matmulN/TYPE/ISA   N activation rows, four panels of 4096 columns from L2:
//                      operations per second.
//   promptN/TYPE/ISA   the same with panels from memory, as layers read a prompt.
//   attention/ISA      32 rows of 4 heads of 128 dimensions over 8192 cached positions in F16:
//                      operations per second.
//
// `mixtral bench --machine` prints the limits to compare them with.
// Figures of one run on a quiet machine count, as ratios; use
//   bench_kernels --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/cpu_features.h"
#include "cpu/activation_rows.h"
#include "cpu/kernels/kernel_table.h"
#include "quant/panel.h"

namespace mixtral::bench {
namespace {

using cpu::ActivationFormat;
using cpu::Activations;

constexpr size_t kCols = 4096;
constexpr size_t kStreamBytes = size_t{1} << 30;

// Rows of kCols activations in one format.
class TestActivations {
 public:
  TestActivations(ActivationFormat format, size_t n_rows)
      : arena_(cpu::ActivationRows::bytes(n_rows, kCols)), rows_(arena_, format, n_rows, kCols) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> values(kCols);
    for (size_t row = 0; row < n_rows; ++row) {
      for (float& value : values) value = normal(random);
      rows_.fill(cpu::kernel_table(best_isa()), row, 0, kCols, values.data());
    }
  }
  Activations view() const { return rows_.view(0, rows_.n_rows()); }

 private:
  Arena arena_;
  cpu::ActivationRows rows_;
};

// One buffer for everything that streams: all benchmarks read the same pages.
AlignedBuffer& stream() {
  static AlignedBuffer buffer = [] {
    AlignedBuffer bytes(kStreamBytes);
    std::mt19937_64 random(1);
    auto* words = reinterpret_cast<uint64_t*>(bytes.data());
    // Bits of harmless floats and scales in whatever type they are read: no NaN, no subnormals.
    for (size_t i = 0; i < kStreamBytes / 8; ++i)
      words[i] = (random() & 0x2F2F2F2F2F2F2F2Fu) | 0x2020202020202020u;
    return bytes;
  }();
  return buffer;
}

// This thread's part of the buffer.
struct Part {
  const std::byte* begin;
  size_t bytes;
};
Part part_of(const benchmark::State& state, size_t unit) {
  const size_t n_threads = static_cast<size_t>(state.threads());
  const size_t bytes = kStreamBytes / n_threads / unit * unit;
  return {stream().data() + kStreamBytes / n_threads * static_cast<size_t>(state.thread_index()),
          bytes};
}

cpu::Panels panels_at(const std::byte* first, size_t n, Type type, Isa isa) {
  return {first, n, panel_bytes(type, kCols), kCols, cpu::best_streaming(isa)};
}

void stream_panels(benchmark::State& state, Type type, Isa isa, size_t n_rows) {
  const cpu::MatmulFn matmul = cpu::kernel_table(isa).matmul[cpu::table_index(type)];
  const size_t bytes = panel_bytes(type, kCols);
  const Part part = part_of(state, bytes);
  const TestActivations activations(cpu::activation_format(type), n_rows);
  const Activations x = activations.view();
  const size_t n_panels = part.bytes / bytes;
  std::vector<float> y(n_panels * kPanelRows * n_rows);
  for (auto step : state) {
    matmul(panels_at(part.begin, n_panels, type, isa), x, y.data(), n_panels * kPanelRows);
    benchmark::DoNotOptimize(y.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * part.bytes));
}

// Of each step.
void count_operations(benchmark::State& state, size_t n) {
  state.counters["ops"] =
      benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate,
                         benchmark::Counter::kIs1000);
}

void matmul(benchmark::State& state, Type type, Isa isa, size_t n_rows) {
  const cpu::MatmulFn multiply = cpu::kernel_table(isa).matmul[cpu::table_index(type)];
  const TestActivations activations(cpu::activation_format(type), n_rows);
  const Activations x = activations.view();
  constexpr size_t kPanels = 4;
  std::vector<float> y(n_rows * kPanels * kPanelRows);
  const cpu::Panels panels = panels_at(stream().data(), kPanels, type, isa);
  for (auto step : state) {
    multiply(panels, x, y.data(), kPanels * kPanelRows);
    benchmark::DoNotOptimize(y.data());
  }
  count_operations(state, 2 * n_rows * kPanels * kPanelRows * kCols);
}

// Slices of 16 panels, eight chunks of all rows at a time.
void read_prompt(benchmark::State& state, Type type, Isa isa, size_t n_rows) {
  constexpr size_t kPanels = 16, kPass = 8;
  const cpu::MatmulFn multiply = cpu::kernel_table(isa).matmul[cpu::table_index(type)];
  const size_t bytes = panel_bytes(type, kCols);
  const TestActivations activations(cpu::activation_format(type), n_rows);
  std::vector<float> y(n_rows * kPanels * kPanelRows);
  const Part part = part_of(state, kPanels * bytes);
  size_t at = 0;
  for (auto step : state) {
    Activations x = activations.view();
    const size_t n_chunks = x.end_chunk;
    for (size_t c = 0; c < n_chunks; c += kPass) {
      x.first_chunk = c;
      x.end_chunk = std::min(c + kPass, n_chunks);
      multiply(panels_at(part.begin + at, kPanels, type, isa), x, y.data(), kPanels * kPanelRows);
    }
    benchmark::DoNotOptimize(y.data());
    at = (at + kPanels * bytes) % part.bytes;
  }
  count_operations(state, 2 * n_rows * kPanels * kPanelRows * kCols);
}

void attention(benchmark::State& state, Isa isa) {
  constexpr size_t kRows = 32, kGroup = 4, kHeadDim = 128, kPositions = 8192;
  const KvLayout layout = {KvType::kF16, 1, 1, kHeadDim};
  std::vector<std::byte*> pages;
  for (size_t page = 0; page < kPositions / kPageTokens; ++page)
    pages.push_back(stream().data() + page * layout.page_bytes());
  const KvView kv = {layout, pages};
  const std::vector<float> q(kRows * kGroup * kHeadDim, 0.01f);
  std::vector<float> y(q.size());
  const AlignedBuffer scratch(cpu::attention_scratch_floats(kGroup, kHeadDim) * sizeof(float));
  const cpu::AttentionTask task = {.q = q.data(),
                                   .y = y.data(),
                                   .q_stride = kGroup * kHeadDim,
                                   .n_rows = kRows,
                                   .first_position = kPositions - kRows,
                                   .group = kGroup,
                                   .head_dim = kHeadDim,
                                   .sliding_window = 0,
                                   .kv = &kv,
                                   .layer = 0,
                                   .kv_head = 0,
                                   .scratch = reinterpret_cast<float*>(scratch.data())};
  for (auto step : state) {
    cpu::kernel_table(isa).attention(task);
    benchmark::DoNotOptimize(y.data());
  }
  count_operations(state, 4 * kRows * kGroup * kHeadDim * kPositions);
}

void register_attention() {
  for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kScalar}) {
    if (!isa_supported(isa)) continue;
    benchmark::RegisterBenchmark(("attention/" + std::string(isa_name(isa))).c_str(), attention,
                                 isa);
  }
}

void register_kernels(const TypeInfo& info) {
  for (const Isa isa : {Isa::kAmx, Isa::kAvx512, Isa::kAvx2, Isa::kScalar}) {
    if (!isa_supported(isa)) continue;
    const std::string name = std::string(info.name) + "/" + std::string(isa_name(isa));
    for (const size_t n_rows : {1, 2, 3, 4, 5, 6, 7, 8, 16}) {
      benchmark::RegisterBenchmark(("stream" + std::to_string(n_rows) + "/" + name).c_str(),
                                   stream_panels, info.type, isa, n_rows)
          ->ThreadRange(1, 2)
          ->UseRealTime();
    }
    for (const size_t n_rows : {64, 128}) {
      benchmark::RegisterBenchmark(("prompt" + std::to_string(n_rows) + "/" + name).c_str(),
                                   read_prompt, info.type, isa, n_rows);
    }
    for (const size_t n_rows : {1, 4, 8, 16, 64, 128}) {
      benchmark::RegisterBenchmark(("matmul" + std::to_string(n_rows) + "/" + name).c_str(), matmul,
                                   info.type, isa, n_rows);
    }
  }
}

}  // namespace
}  // namespace mixtral::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  for (const mixtral::TypeInfo& info : mixtral::all_types()) mixtral::bench::register_kernels(info);
  mixtral::bench::register_attention();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
