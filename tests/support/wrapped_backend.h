// A backend around another that tests reach into: to spoil a row, or to hold a step up.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <utility>

#include "ops/backend.h"

namespace mixtral::testing {

class WrappedBackend final : public Backend {
 public:
  explicit WrappedBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

  /// Rows of this token are NaN from the embedding on.
  int32_t poisoned_id = -1;
  /// Called on the engine's thread at the beginning of each step, with its number of rows.
  std::function<void(size_t n_rows)> on_step;
  /// The same, with the embeddings of the model that the step is of.
  std::function<void(const Weight& table)> on_step_of;

  std::string name() const override { return inner_->name(); }
  std::string description() const override { return inner_->description(); }
  KvType kv_type() const override { return inner_->kv_type(); }
  Result<std::unique_ptr<Weight>> load(const WeightSource& source,
                                       FunctionRef<void(uint64_t)>* on_bytes) override {
    return inner_->load(source, on_bytes);
  }
  size_t weight_bytes(const WeightSource& source) const override {
    return inner_->weight_bytes(source);
  }
  void observe_inputs(InputObserver* observer) override { inner_->observe_inputs(observer); }
  bool is_observed() const override { return inner_->is_observed(); }
  size_t scratch_bytes(const StepLimits& limits) const override {
    return inner_->scratch_bytes(limits);
  }
  void embed(Arena& arena, const Weight& table, std::span<const int32_t> token_ids,
             TensorView<float> x) override {
    if (on_step) on_step(token_ids.size());
    if (on_step_of) on_step_of(table);
    inner_->embed(arena, table, token_ids, x);
    for (size_t row = 0; row < token_ids.size(); ++row) {
      if (token_ids[row] != poisoned_id) continue;
      for (float& value : x.row_span(row)) value = std::numeric_limits<float>::quiet_NaN();
    }
  }
  void rms_norm(Arena& arena, TensorView<const float> x, const Weight& weight, float eps,
                TensorView<float> y) override {
    inner_->rms_norm(arena, x, weight, eps, y);
  }
  void linear(Arena& arena, TensorView<const float> x, std::span<const LinearPart> parts) override {
    inner_->linear(arena, x, parts);
  }
  void linear_add(Arena& arena, TensorView<const float> x, const Weight& weight,
                  TensorView<float> residual) override {
    inner_->linear_add(arena, x, weight, residual);
  }
  void rope_and_cache(Arena& arena, const LayerAttention& layer, TensorView<float> q,
                      TensorView<float> k, TensorView<const float> v) override {
    inner_->rope_and_cache(arena, layer, q, k, v);
  }
  void attention(Arena& arena, const LayerAttention& layer, TensorView<const float> q,
                 TensorView<float> y) override {
    inner_->attention(arena, layer, q, y);
  }
  void route(Arena& arena, TensorView<const float> x, const Weight& router,
             TensorView<float> logits, const Routing& routing) override {
    inner_->route(arena, x, router, logits, routing);
  }
  void experts(Arena& arena, TensorView<const float> x, const ExpertWeights& weights,
               const Routing& routing, TensorView<float> residual) override {
    inner_->experts(arena, x, weights, routing, residual);
  }
  void download(TensorView<const float> from, TensorView<float> to) override {
    inner_->download(from, to);
  }
  void download(TensorView<const int32_t> from, TensorView<int32_t> to) override {
    inner_->download(from, to);
  }
  void gather_rows(TensorView<const float> x, std::span<const int32_t> rows,
                   TensorView<float> y) override {
    inner_->gather_rows(x, rows, y);
  }
  void route_to_single_expert(const Routing& routing) override {
    inner_->route_to_single_expert(routing);
  }
  Status finish_step() override { return inner_->finish_step(); }

 private:
  std::unique_ptr<Backend> inner_;
};

}  // namespace mixtral::testing
