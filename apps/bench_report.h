// The results of `mixtral bench` for people, programs and spreadsheets.
#pragma once

#include <string>
#include <vector>

#include "bench_model.h"
#include "cpu/machine_limits.h"
#include "io/json.h"

namespace mixtral {

/// A machine as one number of threads sees it.
struct BenchMachine {
  std::string cpu;
  std::string_view isa;
  size_t n_threads = 0;
  MachineLimits limits;
};

struct BenchResult {
  std::string model;
  std::string_view kv_type;
  BenchCase test;
  const BenchMachine* machine = nullptr;
  BenchWork work;               ///< of one run
  std::vector<double> seconds;  ///< of every run

  /// Of all sequences together, median over the runs, slowest and fastest.
  double tokens_per_second() const;
  double slowest() const;
  double fastest() const;
  double gb_per_s() const;
  double gops() const;
  /// Parts of what the machine can do, 0 to 1: reading memory, multiplying.
  double of_reading() const;
  double of_multiplying() const;

 private:
  double median_seconds() const;
};

std::string machine_text(const BenchMachine& machine);
Json machine_json(const BenchMachine& machine);
Json result_json(const BenchResult& result);

/// A header and a line for each result; columns as wide as they need to be.
std::string results_table(const std::vector<BenchResult>& results);
std::string results_csv(const std::vector<BenchResult>& results);

}  // namespace mixtral
