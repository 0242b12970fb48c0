// A model under measurement: steps of any mix of prompts and running sequences, what each of them
// moved and multiplied, and how long it took.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/rng.h"
#include "cpu/machine_limits.h"
#include "engine/kv_sequence.h"
#include "model/transformer.h"

namespace mixtral {

enum class BenchTest { kPrefill, kDecode, kMixed };
std::string_view bench_test_name(BenchTest test);  // "prefill", "decode", "mixed"

/// prefill: one sequence reads `n_tokens` more. decode: `batch` sequences write `n_tokens` each.
/// mixed: in one step one sequence reads `n_tokens` and `batch` others write one each.
/// All sequences begin with `depth` positions filled.
struct BenchCase {
  BenchTest test = BenchTest::kDecode;
  size_t n_tokens = 1, batch = 1, depth = 0;

  size_t n_sequences() const;
  /// Tokens that a run computes, of all sequences together.
  size_t n_rows() const;
};

/// What one run of a case takes.
struct BenchWork {
  uint64_t bytes = 0;  ///< weights and cache read from memory, each once a step
  /// The shortest time in seconds in which the machine can do all multiplications.
  double multiplying_seconds = 0;
  uint64_t operations = 0;  ///< multiplications and additions of matrices and attention
};

struct BenchRun {
  double seconds = 0;
  BenchWork work;
};

/// Not thread-safe.
class BenchModel {
 public:
  /// Loads the model and makes caches for the largest of `cases`. `chunk_tokens` is how many tokens
  /// of a prompt one step reads at most.
  static Result<std::unique_ptr<BenchModel>> load(const std::string& path,
                                                  std::unique_ptr<Backend> backend,
                                                  const std::vector<BenchCase>& cases,
                                                  size_t chunk_tokens, Progress* progress);

  /// One timed run; the tokens are random, and the same for the same case. `counts` also counts the
  /// work, which takes time of its own: such a run is a good warm-up.
  Result<BenchRun> run(const BenchCase& test, const MachineLimits& limits, bool counts);

  const ModelConfig& config() const { return model_->config(); }
  uint64_t weight_bytes() const { return model_->weight_bytes(); }

 private:
  BenchModel(std::unique_ptr<Backend> backend, std::unique_ptr<Transformer> model)
      : backend_(std::move(backend)), model_(std::move(model)) {}
  Status add_caches(const std::vector<BenchCase>& cases, size_t chunk_tokens);
  void fill_to(KvSequence& kv, size_t depth);
  Status step(size_t first_sequence, const std::vector<size_t>& rows_of_sequences,
              StepTrace* trace);
  BenchWork count_step(const std::vector<std::vector<bool>>& experts_used,
                       const MachineLimits& limits) const;
  void count_weight(WeightId id, size_t n_rows, double share, const MachineLimits& limits,
                    BenchWork& work) const;

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Transformer> model_;
  size_t chunk_tokens_ = 0;
  std::optional<KvPool> pool_;
  std::vector<KvSequence> caches_;  // after their pool
  Arena arena_;
  Rng random_{0};
  std::vector<int32_t> ids_, logit_rows_;  // of the current step
  std::vector<SequenceRows> sequences_;
};

}  // namespace mixtral
