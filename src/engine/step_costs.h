// How long a step takes for so many rows, learnt from the steps that were run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mixtral {

/// Not thread-safe.
class StepCosts {
 public:
  /// For steps of up to `max_rows`; longer ones are not looked at.
  explicit StepCosts(size_t max_rows) : costs_(max_rows + 1) {}

  void add(size_t n_rows, double seconds);
  /// Seconds; what has not been seen for a while is guessed low, so that it is tried again. Before
  /// anything was seen only the ratios mean something. `n_rows` is at least 1.
  double of(size_t n_rows) const;

 private:
  struct Cost {
    double seconds = 0;
    uint64_t step = 0;  // that it was seen in; 0: never
  };
  bool is_known(size_t n_rows) const;

  std::vector<Cost> costs_;  // by rows
  uint64_t n_steps_ = 0;
};

}  // namespace mixtral
