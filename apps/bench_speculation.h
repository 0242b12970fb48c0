// What speculation is worth: a text to copy, where it should pay, and a new one, where it must not
// cost.
#pragma once

#include <string>
#include <vector>

#include "app_context.h"
#include "core/result.h"
#include "io/json.h"
#include "model_options.h"

namespace mixtral {

struct SpeculationTest {
  size_t n_tokens = 0, n_repeats = 1;
};

/// Medians over the runs; tokens per second of one sequence.
struct SpeculationResult {
  std::string model, task;  ///< task: "copy" or "plain"
  size_t n_tokens = 0;
  double without = 0, with = 0;
  double ratio = 0;  ///< of runs next to each other
  uint64_t n_drafted = 0, n_accepted = 0;
};

/// Both tasks, runs with and without in turn. Fails if an answer is not the same both times.
Status measure_speculation(const SpeculationTest& test, const ModelOptions& options,
                           const AppContext& context, std::vector<SpeculationResult>& results);

Json speculation_json(const SpeculationResult& result);
std::string speculation_text(const std::vector<SpeculationResult>& results);

}  // namespace mixtral
