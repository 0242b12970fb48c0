// The coarse operations that the forward pass is written in; each device implements them its own
// way.
//
// Shapes: T n_tokens (rows of the step), D dim, H hidden_dim, E n_experts, K n_experts_per_token.
// Activations are f32 and row-major. Views may point into device memory: model/ never looks inside.
// Every result row depends on its own inputs only, bit for bit: not on T, on the other rows or on
// threads
// ("Repeatability" in docs/architecture.md). Errors of a device are kept until finish_step().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/arena.h"
#include "core/function_ref.h"
#include "core/result.h"
#include "core/tensor_view.h"
#include "ops/input_observer.h"
#include "ops/kv_view.h"
#include "ops/weight.h"

namespace mixtral {

/// Row t lists the K chosen experts, most probable first; equal logits prefer the lower id.
struct Routing {
  TensorView<int32_t> expert_ids;  ///< [T, K], in [0, E)
  TensorView<float> probs;         ///< [T, K], each row sums to 1
};

/// One of several matrices that multiply the same input: y [T, rows of weight].
struct LinearPart {
  const Weight* weight;
  TensorView<float> y;
};

/// A change of low rank to a weight W: W + B A for each of its matrices ("LoRA", arXiv:2106.09685,
/// section 4.1). Both are weights in f32.
struct LowRank {
  const Weight* a = nullptr;  ///< [R, cols of W], R a multiple of 16; nullptr: no change
  const Weight* b = nullptr;  ///< [rows of W, R]
};

/// What rows [first_row, first_row + n_rows) of a step change in the experts' matrices.
struct ExpertAdapter {
  size_t first_row = 0, n_rows = 0;
  LowRank gate, up, down;
};

/// SwiGLU experts ("GLU Variants Improve Transformer", arXiv:2002.05202); one matrix per expert in
/// each.
struct ExpertWeights {
  const Weight* w_gate;                          ///< E x [H, D], on disk w1
  const Weight* w_up;                            ///< E x [H, D], on disk w3
  const Weight* w_down;                          ///< E x [D, H], on disk w2
  std::span<const ExpertAdapter> adapters = {};  ///< no row belongs to two
};

struct AttentionShape {
  size_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  size_t sliding_window =
      0;  ///< a position sees itself and the window - 1 before it; 0: all before it
};

/// The attention of one layer over the rows of a step.
struct LayerAttention {
  AttentionShape shape;
  double rope_theta = 10000.0;
  size_t layer = 0;  ///< whose part of the caches
  std::span<const SequenceRows> sequences;
};

/// The largest step that will be asked for, and what the model multiplies: sizes the scratch.
struct StepLimits {
  size_t n_tokens = 0, dim = 0, hidden_dim = 0;
  size_t n_experts = 1, n_experts_per_token = 1;
  size_t adapter_rank = 0;  ///< the largest R of any LowRank
  AttentionShape attention;
};

/// Not thread-safe: one step at a time. Weights may be loaded before the first step only.
class Backend {
 public:
  virtual ~Backend() = default;

  /// "reference" or "cpu".
  virtual std::string name() const = 0;
  /// With its settings, for people: "cpu, avx512, 2 threads".
  virtual std::string description() const = 0;
  /// How the cache of this backend stores keys and values.
  virtual KvType kv_type() const = 0;

  /// Reads and lays out a weight. Fails with kBadInput naming tensor and row if a value is NaN or
  /// infinite. `on_bytes`, if given, is told of bytes read, from any thread.
  virtual Result<std::unique_ptr<Weight>> load(const WeightSource& source,
                                               FunctionRef<void(uint64_t)>* on_bytes) = 0;
  /// Bytes of memory that load() would keep for such a weight.
  virtual size_t weight_bytes(const WeightSource& source) const = 0;

  /// Shows the inputs of linear, linear_add, route and experts (of w_down too) to `observer`, which
  /// must outlive the steps; nullptr, as at first, to none. The observer sees them in f32, before
  /// they are quantised.
  virtual void observe_inputs(InputObserver* observer) = 0;
  virtual bool is_observed() const = 0;

  /// Bytes the operations of one step take from the arena for themselves, at most.
  virtual size_t scratch_bytes(const StepLimits& limits) const = 0;

  /// x [T, D] = rows `token_ids` of `table` [vocab, D].
  virtual void embed(Arena& arena, const Weight& table, std::span<const int32_t> token_ids,
                     TensorView<float> x) = 0;

  /// y = x / sqrt(mean(x^2) + eps) * weight, row by row ("Root Mean Square Layer Normalization",
  /// arXiv:1910.07467). `weight` has one row of D; y may be x.
  virtual void rms_norm(Arena& arena, TensorView<const float> x, const Weight& weight, float eps,
                        TensorView<float> y) = 0;

  /// part.y = x · part.weightᵀ for each part.
  virtual void linear(Arena& arena, TensorView<const float> x,
                      std::span<const LinearPart> parts) = 0;

  /// residual += x · weightᵀ.
  virtual void linear_add(Arena& arena, TensorView<const float> x, const Weight& weight,
                          TensorView<float> residual) = 0;

  /// Rotates the pairs (2i, 2i+1) of every head of q [T, n_heads * head_dim] and k by
  /// position * rope_theta^(-2i / head_dim) ("RoFormer", arXiv:2104.09864), then appends k and v to
  /// the caches.
  virtual void rope_and_cache(Arena& arena, const LayerAttention& layer, TensorView<float> q,
                              TensorView<float> k, TensorView<const float> v) = 0;

  /// y [T, n_heads * head_dim] = softmax(q kᵀ / sqrt(head_dim)) v over the cached positions that
  /// each row sees; query heads share key heads in equal groups ("GQA", arXiv:2305.13245).
  virtual void attention(Arena& arena, const LayerAttention& layer, TensorView<const float> q,
                         TensorView<float> y) = 0;

  /// logits [T, E] = x · routerᵀ in f32 whatever the router's type; routing = softmax over the K
  /// largest
  /// ("Mixtral of Experts", arXiv:2401.04088, section 2.1).
  virtual void route(Arena& arena, TensorView<const float> x, const Weight& router,
                     TensorView<float> logits, const Routing& routing) = 0;

  /// residual += sum over k of probs[k] * w_down_e( silu(w_gate_e x) * w_up_e x ), e =
  /// expert_ids[k], added up in the order of k. No token is ever dropped. Rows of an adapter go
  /// through the matrices that it makes of these.
  virtual void experts(Arena& arena, TensorView<const float> x, const ExpertWeights& weights,
                       const Routing& routing, TensorView<float> residual) = 0;

  /// Copies to host memory; `to` has the shape of `from`.
  virtual void download(TensorView<const float> from, TensorView<float> to) = 0;
  virtual void download(TensorView<const int32_t> from, TensorView<int32_t> to) = 0;
  /// y = the given rows of x.
  virtual void gather_rows(TensorView<const float> x, std::span<const int32_t> rows,
                           TensorView<float> y) = 0;
  /// Routes every row to expert 0 with probability 1: the dense feed-forward block.
  virtual void route_to_single_expert(const Routing& routing) = 0;

  /// Waits for the step's work; fails with kDevice if any of it did.
  virtual Status finish_step() = 0;
};

}  // namespace mixtral
