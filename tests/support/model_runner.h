// Runs token ids through a model and keeps everything that a golden file has: for tests of any
// backend.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "cpu/cpu_backend.h"
#include "model/transformer.h"
#include "ops/backend.h"

namespace mixtral::testing {

/// What a golden file holds, row-major.
struct ModelOutputs {
  std::vector<float> logits;                      ///< [T, vocab]
  std::vector<std::vector<float>> hidden;         ///< [n_layers + 1][T, D]
  std::vector<std::vector<float>> router_logits;  ///< [n_layers][T, E]; empty for dense models
};

/// Of numbers at the same place; NaN counts as the largest. Equal lengths are expected.
double largest_difference(std::span<const float> a, std::span<const float> b);

/// A loaded model with its backend.
class ModelRunner {
 public:
  static Result<std::unique_ptr<ModelRunner>> load(const std::string& path,
                                                   std::unique_ptr<Backend> backend);

  /// From an empty cache, in steps of at most `chunk` tokens.
  ModelOutputs run(const std::vector<int32_t>& ids, size_t chunk);

  /// The same without keeping anything: calls use(position, logits) for every position.
  void run(const std::vector<int32_t>& ids, size_t chunk,
           FunctionRef<void(size_t, std::span<const float>)> use, StepTrace* trace = nullptr);

  /// The most probable next token, n times, from the prompt on.
  std::vector<int32_t> greedy(std::vector<int32_t> ids, size_t n);

  const ModelConfig& config() const { return model_->config(); }

 private:
  ModelRunner() = default;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<Transformer> model_;
};

/// One way to compute: the reference, or the CPU backend with one instruction set.
struct BackendCase {
  std::string name;  ///< "reference", "avx2_exact", …
  bool reference = false;
  Isa isa = Isa::kScalar;
  bool exact = false;
};
/// The reference and every instruction set that this machine has, exact ones first if `exact`.
std::vector<BackendCase> backend_cases(bool exact);
std::unique_ptr<Backend> make_backend(const BackendCase& backend_case, size_t n_threads = 2);

/// Mean of -log p(ids[i + 1]) over the positions of `logits` [T, vocab].
double mean_nll(std::span<const float> logits, std::span<const int32_t> ids, size_t vocab_size);
/// -log p(target) under one row of logits.
double nll(std::span<const float> logits, int32_t target);

}  // namespace mixtral::testing
