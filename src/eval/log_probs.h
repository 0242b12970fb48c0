// Log-probabilities of one row of logits, and means with their errors.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

namespace mixtral {

/// log(sum of exp): subtract it from a logit to get the log-probability. Natural logarithm.
double log_sum_exp(std::span<const float> logits);

/// A mean and its standard error.
struct Estimate {
  double value = 0, error = 0;
};

/// The mean of numbers that come one by one.
class Mean {
 public:
  void add(double x) {
    ++n_;
    sum_ += x;
    sum_of_squares_ += x * x;
  }
  size_t n() const { return n_; }
  double sum() const { return sum_; }
  /// The error is 0 with fewer than two numbers.
  Estimate estimate() const;

 private:
  size_t n_ = 0;
  double sum_ = 0, sum_of_squares_ = 0;
};

}  // namespace mixtral
