// What a step shows besides logits: the experts of its rows, and their final hidden states.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/answer.h"
#include "model/transformer.h"

namespace mixtral {

/// Allocates nothing in a step, but when hidden states are asked for the first time. The engine's
/// thread alone uses it, but for count().
class StepRecorder final : public StepTrace {
 public:
  StepRecorder(const Transformer& model, size_t max_rows);

  /// Before each step.
  void begin(bool wants_hidden) { wants_hidden_ = wants_hidden; }
  bool wants_hidden() const override { return wants_hidden_; }
  void on_hidden(size_t index, TensorView<const float> x) override;
  void on_routing(size_t layer, TensorView<const float> logits, const Routing& routing) override;

  /// Of a row of the last step; empty for a dense model.
  TokenRouting routing(size_t row) const;
  /// [dim] of a row of the last step, if hidden states were wanted.
  std::span<const float> hidden(size_t row) const;
  /// [n_layers, n_experts]: rows that chose the expert so far; empty for a dense model.
  /// Thread-safe.
  std::vector<uint64_t> expert_tokens() const;

 private:
  const Transformer& model_;
  const size_t max_rows_;
  bool wants_hidden_ = false;
  std::vector<int32_t> expert_ids_;  // [n_layers, max_rows, K]
  std::vector<float> probs_;         // the same
  std::vector<float> hidden_;        // [max_rows, dim]
  std::vector<std::atomic<uint64_t>> expert_tokens_;
};

}  // namespace mixtral
