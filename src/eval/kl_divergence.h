// How far a model's predictions are from those of a base model:
//
//   KL = sum over tokens i of  p_i * (log p_i - log q_i),  p the base's, q the model's
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/log_probs.h"

namespace mixtral {

/// KL in nats, of log-probabilities `base` and `logits` of any offset. What the base gives less
/// than e^-16 does not count: files of a base do not tell such tokens apart.
double kl_divergence(std::span<const float> base, std::span<const float> logits);

/// Adds up over the tokens scored.
class KlDivergence {
 public:
  /// The token `id` came; the base gave `base`, the model `logits`.
  void add(int32_t id, std::span<const float> base, std::span<const float> logits);

  Estimate mean() const { return kl_.estimate(); }
  /// The KL that a part `q` of the tokens does not exceed: 0.5 is the median, 1 the largest.
  double quantile(double q) const;
  /// How often both think the same token the most probable.
  Estimate same_top() const { return same_top_.estimate(); }
  /// Mean negative log-likelihood under the base.
  Estimate base_nll() const { return base_nll_.estimate(); }
  /// Mean of the model's less the base's, whose error is small: both read the same text.
  Estimate nll_difference() const { return nll_difference_.estimate(); }

 private:
  Mean kl_, same_top_, base_nll_, nll_difference_;
  std::vector<double> values_;
};

}  // namespace mixtral
