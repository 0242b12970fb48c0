#include "eval/kl_divergence.h"

#include <algorithm>
#include <cmath>

namespace mixtral {
namespace {

constexpr float kSmallestLogProb = -16;

size_t top(std::span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

double kl_divergence(std::span<const float> base, std::span<const float> logits, double log_sum) {
  double sum = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    if (base[i] <= kSmallestLogProb) continue;
    const double log_p = double{base[i]}, log_q = double{logits[i]} - log_sum;
    sum += std::exp(log_p) * (log_p - log_q);
  }
  return sum;
}

}  // namespace

double kl_divergence(std::span<const float> base, std::span<const float> logits) {
  return kl_divergence(base, logits, log_sum_exp(logits));
}

void KlDivergence::add(int32_t id, std::span<const float> base, std::span<const float> logits) {
  const double log_sum = log_sum_exp(logits);
  const double kl = kl_divergence(base, logits, log_sum);
  const auto token = static_cast<size_t>(id);
  const double base_nll = -double{base[token]};
  kl_.add(kl);
  values_.push_back(kl);
  same_top_.add(top(base) == top(logits) ? 1 : 0);
  base_nll_.add(base_nll);
  nll_difference_.add(log_sum - double{logits[token]} - base_nll);
}

double KlDivergence::quantile(double q) const {
  if (values_.empty()) return 0;
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = place - static_cast<double>(below);
  return (1 - part) * sorted[below] + part * sorted[above];
}

}  // namespace mixtral
