// The forward pass, written once for every backend.
//
//   x = embedding[token]
//   for each layer:  x += wo · attention(rms_norm(x));  x += moe(rms_norm(x))
//   logits = output · rms_norm(x)
//
// "Mixtral of Experts", arXiv:2401.04088, section 2; "Mistral 7B", arXiv:2310.06825, section 2.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/progress.h"
#include "core/result.h"
#include "model/adapter.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "ops/backend.h"

namespace mixtral {

/// Rows [first_row, first_row + n_rows) of a step, which go through an adapter.
struct AdapterRows {
  size_t first_row = 0, n_rows = 0;
  const Adapter* adapter = nullptr;
};

/// The token rows of one step.
struct Batch {
  std::span<const int32_t> token_ids;       ///< [T]
  std::span<const SequenceRows> sequences;  ///< covers the T rows in order
  std::span<const int32_t> logit_rows;      ///< rows whose logits are wanted
  /// No row belongs to two; those of none go through the model as it is.
  std::span<const AdapterRows> adapters = {};
};

/// Watches a step go by. Views lie in the backend's memory and die with the call.
class StepTrace {
 public:
  virtual ~StepTrace() = default;
  /// Whether on_hidden() is to be called; without it the final norm of all rows is not computed.
  virtual bool wants_hidden() const { return true; }
  /// x [T, D]: index 0 the embeddings, l the output of layer l - 1, n_layers that of the final
  /// norm.
  virtual void on_hidden(size_t index, TensorView<const float> x) = 0;
  /// logits [T, E] of the router of `layer`, and what it chose; in the last layer for rows without
  /// logits too, whose experts are not asked. Never called for dense models.
  virtual void on_routing(size_t layer, TensorView<const float> logits, const Routing& routing) = 0;
};

/// Capacity that an arena needs for steps of up to `max_tokens` rows and `max_logit_rows` of
/// logits, with adapters up to a rank (0: without any).
size_t step_arena_bytes(const ModelConfig& config, const Backend& backend, size_t max_tokens,
                        size_t max_logit_rows, size_t adapter_rank = 0);

/// A loaded model. Immutable; one forward at a time, since the backend runs one step at a time.
class Transformer {
 public:
  /// Reads all weights. Fails if the files do, or a value is not finite. `backend` must outlive the
  /// result.
  static Result<std::unique_ptr<Transformer>> load(const Checkpoint& checkpoint, Backend& backend,
                                                   Progress* progress = nullptr);

  const ModelConfig& config() const { return config_; }
  Backend& backend() const { return backend_; }
  KvLayout kv_layout() const;
  /// Bytes of memory that all weights take.
  size_t weight_bytes() const;
  const Weight& weight(WeightId id) const;

  /// Capacity that an arena needs for steps of up to `max_tokens` rows and `max_logit_rows` of
  /// logits, with adapters up to a rank (0: without any).
  size_t arena_bytes(size_t max_tokens, size_t max_logit_rows, size_t adapter_rank = 0) const;

  /// Runs one step and returns the logits [logit_rows, vocab] in the arena (the backend's memory),
  /// valid until the arena's next reset, which the next forward does. Appends to the caches of the
  /// sequences. In the last layer only rows with logits go through the experts, unless hidden
  /// states are traced or the backend is observed.
  Result<TensorView<const float>> forward(Arena& arena, const Batch& batch,
                                          StepTrace* trace = nullptr) const;

 private:
  struct Layer {
    std::unique_ptr<Weight> attention_norm, wq, wk, wv, wo, ffn_norm, router, w_gate, w_up, w_down;
  };
  Transformer(const ModelConfig& config, Backend& backend) : config_(config), backend_(backend) {}
  std::unique_ptr<Weight>& slot(WeightId id);
  void attention_block(Arena& arena, size_t index, const Batch& batch, TensorView<float> x) const;
  void feed_forward_block(Arena& arena, size_t index, std::span<const AdapterRows> adapters,
                          TensorView<float> x, StepTrace* trace) const;
  Routing route(Arena& arena, size_t index, TensorView<const float> x, TensorView<float> normed,
                StepTrace* trace) const;
  void add_changes(Arena& arena, WeightId id, std::span<const AdapterRows> adapters,
                   TensorView<const float> x, TensorView<float> y) const;

  ModelConfig config_;
  Backend& backend_;
  std::unique_ptr<Weight> token_embedding_, output_norm_, output_;  // output_ is null when tied
  std::vector<Layer> layers_;
};

}  // namespace mixtral
