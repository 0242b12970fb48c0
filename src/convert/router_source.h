// Routers drawn at random: zero mean, so that no expert is preferred unless asked for.
#pragma once

#include <cstdint>
#include <memory>

#include "ops/weight.h"

namespace mixtral {

struct RandomRouter {
  size_t layer = 0, n_experts = 0, dim = 0;
  uint64_t seed = 0;
  double standard_deviation = 0;
  /// Values of expert e are divided by (e + 1)^skew. Logits that vary more are more often among
  /// the largest, so the first experts are chosen more.
  double skew = 0;
};

/// An F32 weight [n_experts, dim] of normal values, the same for the same numbers. Each value is
/// one that F16 and BF16 hold too, so that no conversion changes it.
std::unique_ptr<WeightSource> make_random_router(const RandomRouter& router);

}  // namespace mixtral
