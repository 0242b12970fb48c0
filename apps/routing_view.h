// Which experts the tokens of an answer went to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/transformer.h"
#include "text/tokenizer.h"

namespace mixtral {

/// Keeps the routing of every row that the model computes. Not thread-safe.
class RoutingRecorder : public StepTrace {
 public:
  explicit RoutingRecorder(const Transformer& model)
      : model_(model), expert_ids_(model.config().n_layers) {}

  void clear() {
    for (auto& layer : expert_ids_) layer.clear();
  }
  /// Rows since clear().
  size_t n_rows() const { return expert_ids_[0].size() / n_chosen(); }
  /// The experts of one row, most probable first.
  std::span<const int32_t> experts(size_t layer, size_t row) const {
    return std::span(expert_ids_[layer]).subspan(row * n_chosen(), n_chosen());
  }

  void on_hidden(size_t, TensorView<const float>) override {}
  void on_routing(size_t layer, TensorView<const float>, const Routing& routing) override;

 private:
  size_t n_chosen() const { return model_.config().n_experts_per_token; }

  const Transformer& model_;
  std::vector<std::vector<int32_t>> expert_ids_;  // [L][rows * K]
};

/// The answer's tokens with their experts in `layer`, then the load of each expert. Token i was
/// computed as row `first_row` + i; the last one often was not.
std::string routing_text(const RoutingRecorder& recorder, const std::vector<int32_t>& token_ids,
                         size_t first_row, size_t layer, const Tokenizer& tokenizer,
                         size_t n_experts);

}  // namespace mixtral
