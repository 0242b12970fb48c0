#include "bench_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "table.h"

namespace mixtral {
namespace {

TableRow header() {
  return {"model", "test", "tokens", "batch", "depth",   "threads", "KV",
          "tok/s", "min",  "max",    "GB/s",  "of read", "Gop/s",   "of peak"};
}

TableRow row_of(const BenchResult& r) {
  return {r.model,
          std::string(bench_test_name(r.test.test)),
          std::to_string(r.test.n_tokens),
          std::to_string(r.test.batch),
          std::to_string(r.test.depth),
          std::to_string(r.machine->n_threads),
          std::string(r.kv_type),
          fmt::format("{:.2f}", r.tokens_per_second()),
          fmt::format("{:.2f}", r.slowest()),
          fmt::format("{:.2f}", r.fastest()),
          fmt::format("{:.1f}", r.gb_per_s()),
          fmt::format("{:.0f} %", 100 * r.of_reading()),
          fmt::format("{:.0f}", r.gops()),
          fmt::format("{:.0f} %", 100 * r.of_multiplying())};
}

double per_second(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

}  // namespace

double BenchResult::median_seconds() const {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
double BenchResult::tokens_per_second() const {
  return per_second(static_cast<double>(test.n_rows()), median_seconds());
}
double BenchResult::slowest() const {
  return per_second(static_cast<double>(test.n_rows()),
                    *std::max_element(seconds.begin(), seconds.end()));
}
double BenchResult::fastest() const {
  return per_second(static_cast<double>(test.n_rows()),
                    *std::min_element(seconds.begin(), seconds.end()));
}
double BenchResult::gb_per_s() const {
  return per_second(static_cast<double>(work.bytes) / 1e9, median_seconds());
}
double BenchResult::gops() const {
  return per_second(static_cast<double>(work.operations) / 1e9, median_seconds());
}
double BenchResult::of_reading() const {
  return per_second(gb_per_s(), machine->limits.read_gb_per_s);
}
double BenchResult::of_multiplying() const {
  return per_second(work.multiplying_seconds, median_seconds());
}

std::string machine_text(const BenchMachine& machine) {
  const MachineLimits& limits = machine.limits;
  return fmt::format(
      "{}, {}, {} thread{}: reads {:.1f} GB/s; multiplies {:.0f} Gop/s of bytes, {:.0f} of narrow "
      "codes, {:.0f} of floats\n",
      machine.cpu, machine.isa, machine.n_threads, machine.n_threads == 1 ? "" : "s",
      limits.read_gb_per_s, limits.peak_int8_gops, limits.peak_int4_gops, limits.peak_f32_gflops);
}

Json machine_json(const BenchMachine& machine) {
  return {{"cpu", machine.cpu},
          {"isa", machine.isa},
          {"threads", machine.n_threads},
          {"read_gb_per_s", machine.limits.read_gb_per_s},
          {"peak_int8_gops", machine.limits.peak_int8_gops},
          {"peak_int4_gops", machine.limits.peak_int4_gops},
          {"peak_f32_gflops", machine.limits.peak_f32_gflops}};
}

Json result_json(const BenchResult& r) {
  return {{"model", r.model},
          {"test", bench_test_name(r.test.test)},
          {"n_tokens", r.test.n_tokens},
          {"batch", r.test.batch},
          {"depth", r.test.depth},
          {"threads", r.machine->n_threads},
          {"kv_type", r.kv_type},
          {"tokens_per_second", r.tokens_per_second()},
          {"min", r.slowest()},
          {"max", r.fastest()},
          {"gb_per_s", r.gb_per_s()},
          {"of_reading", r.of_reading()},
          {"gops", r.gops()},
          {"of_multiplying", r.of_multiplying()}};
}

std::string results_table(const std::vector<BenchResult>& results) {
  std::vector<TableRow> rows = {header()};
  for (const BenchResult& result : results) rows.push_back(row_of(result));
  return table_text(rows, 2);
}

std::string results_csv(const std::vector<BenchResult>& results) {
  std::string out =
      "model,test,n_tokens,batch,depth,threads,kv_type,tokens_per_second,min,max,gb_per_s,"
      "of_reading,gops,of_multiplying\n";
  for (const BenchResult& r : results) {
    out += fmt::format("{},{},{},{},{},{},{},{:.4f},{:.4f},{:.4f},{:.3f},{:.4f},{:.2f},{:.4f}\n",
                       csv_quoted(r.model), bench_test_name(r.test.test), r.test.n_tokens,
                       r.test.batch, r.test.depth, r.machine->n_threads, r.kv_type,
                       r.tokens_per_second(), r.slowest(), r.fastest(), r.gb_per_s(),
                       r.of_reading(), r.gops(), r.of_multiplying());
  }
  return out;
}

}  // namespace mixtral
