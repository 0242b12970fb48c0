#include "eval/log_probs.h"

#include <algorithm>

namespace mixtral {

double log_sum_exp(std::span<const float> logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += static_cast<double>(std::exp(logit - largest));
  return static_cast<double>(largest) + std::log(sum);
}

Estimate Mean::estimate() const {
  if (n_ == 0) return {};
  const double n = static_cast<double>(n_), mean = sum_ / n;
  const double variance = std::max(0.0, sum_of_squares_ / n - mean * mean);
  return {mean, n_ > 1 ? std::sqrt(variance / (n - 1)) : 0};
}

}  // namespace mixtral
