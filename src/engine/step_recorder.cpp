#include "engine/step_recorder.h"

namespace mixtral {

StepRecorder::StepRecorder(const Transformer& model, size_t max_rows)
    : model_(model),
      max_rows_(max_rows),
      expert_tokens_(
          model.config().has_router() ? model.config().n_layers * model.config().n_experts : 0) {
  const ModelConfig& config = model.config();
  if (!config.has_router()) return;
  expert_ids_.resize(config.n_layers * max_rows * config.n_experts_per_token);
  probs_.resize(expert_ids_.size());
}

void StepRecorder::on_hidden(size_t index, TensorView<const float> x) {
  if (index != model_.config().n_layers) return;
  hidden_.resize(max_rows_ * x.cols());
  model_.backend().download(x, TensorView<float>(hidden_.data(), x.rows(), x.cols()));
}

void StepRecorder::on_routing(size_t layer, TensorView<const float>, const Routing& routing) {
  const size_t n_rows = routing.expert_ids.rows(), k = routing.expert_ids.cols();
  const size_t offset = layer * max_rows_ * k;
  model_.backend().download(routing.expert_ids,
                            TensorView<int32_t>(expert_ids_.data() + offset, n_rows, k));
  model_.backend().download(routing.probs, TensorView<float>(probs_.data() + offset, n_rows, k));
  std::atomic<uint64_t>* counts = expert_tokens_.data() + layer * model_.config().n_experts;
  for (size_t i = offset; i < offset + n_rows * k; ++i) {
    counts[expert_ids_[i]].fetch_add(1, std::memory_order_relaxed);
  }
}

TokenRouting StepRecorder::routing(size_t row) const {
  TokenRouting routing;
  if (expert_ids_.empty()) return routing;
  const size_t k = model_.config().n_experts_per_token;
  for (size_t layer = 0; layer < model_.config().n_layers; ++layer) {
    const size_t begin = (layer * max_rows_ + row) * k;
    for (size_t i = begin; i < begin + k; ++i) {
      routing.expert_ids.push_back(expert_ids_[i]);
      routing.probs.push_back(probs_[i]);
    }
  }
  return routing;
}

std::span<const float> StepRecorder::hidden(size_t row) const {
  const size_t dim = model_.config().dim;
  return std::span(hidden_).subspan(row * dim, dim);
}

std::vector<uint64_t> StepRecorder::expert_tokens() const {
  std::vector<uint64_t> counts;
  for (const auto& count : expert_tokens_) counts.push_back(count.load(std::memory_order_relaxed));
  return counts;
}

}  // namespace mixtral
