// Requests of many callers under measurement: how much an engine answers, and how long each waits.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/progress.h"
#include "core/result.h"
#include "engine/engine.h"
#include "io/json.h"

namespace mixtral {

/// `n_streams` requests with prompts of `prompt_tokens` and answers of `answer_tokens`.
struct ServeCase {
  size_t n_streams = 1, prompt_tokens = 1, answer_tokens = 1;
  size_t shared_prefix = 0;    ///< of the prompt's tokens, those that all requests begin with
  double rate = 0;             ///< arrivals per second, at random moments; 0: all at once
  size_t intruder_tokens = 0;  ///< a further prompt that comes once half of the streams answer
  bool routing = false;        ///< every token brings along which experts it took

  size_t n_positions() const;  ///< of the longest sequence
};

/// Everything in seconds, over all runs.
struct ServeResult {
  std::string model;
  std::string_view kv_type;
  size_t n_threads = 0;
  ServeCase test;
  std::vector<double> run_seconds;   ///< of each run, from the first arrival to the last end
  std::vector<double> first_tokens;  ///< from a request's arrival to its first token
  std::vector<double> gaps;          ///< between the tokens of an answer
  std::vector<double> intruders;     ///< first tokens of the intruders
  uint64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0, preemptions = 0;
  double step_seconds = 0, overhead_seconds = 0;  ///< in steps; of these, outside of the model
  /// While all streams answer, the most tokens that one got over the fewest; the worst run's. 0 if
  /// they never all do. Intruders do not count.
  double most_to_fewest = 0;
  uint64_t planned_bytes = 0;   ///< Engine::plan() of the engine that all cases share
  uint64_t resident_bytes = 0;  ///< what the process holds more than before it was loaded

  double tokens_per_second() const;  ///< of answers, all streams together
};

struct ServeSetting {
  size_t chunk_tokens = 512;
  size_t kv_positions = 0;  ///< in the cache; 0: as many as the largest case can use
};

/// An engine for the largest of `cases`. Not thread-safe.
class BenchServer {
 public:
  static Result<std::unique_ptr<BenchServer>> load(const std::string& path,
                                                   std::unique_ptr<Backend> backend,
                                                   const std::vector<ServeCase>& cases,
                                                   const ServeSetting& setting, Progress* progress);
  /// One run, from a cache that knows none of its tokens; adds to `result` what it found. Fails if
  /// pages are lost.
  Status run(ServeResult& result);

 private:
  BenchServer() = default;
  std::unique_ptr<Engine> engine_;
  uint64_t planned_bytes_ = 0, resident_before_ = 0;
  size_t n_runs_ = 0;
};

Json serve_json(const ServeResult& result);
/// As results_table() and results_csv().
std::string serve_table(const std::vector<ServeResult>& results);
std::string serve_csv(const std::vector<ServeResult>& results);

}  // namespace mixtral
