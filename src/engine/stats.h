// What an engine has done so far and what it holds, for metrics.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace mixtral {

/// One moment's copy. Counters only grow.
struct EngineStats {
  size_t waiting = 0, running = 0;  ///< requests in the queue; sequences in steps
  size_t pages_total = 0, pages_used = 0, pages_cached = 0;  ///< cached: kept only for reuse

  uint64_t steps = 0, step_rows = 0;  ///< rows: tokens computed, over all steps
  uint64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  uint64_t requests_accepted = 0, requests_refused = 0;
  std::array<uint64_t, 5> answers_finished = {};  ///< by FinishReason
  uint64_t preemptions = 0;
  uint64_t drafted_tokens = 0, accepted_draft_tokens = 0;
  double step_seconds = 0, overhead_seconds = 0;  ///< in steps; of these, outside of the model
  /// [n_layers, n_experts]: how many tokens chose the expert. Empty for a dense model.
  std::vector<uint64_t> expert_tokens;
};

}  // namespace mixtral
