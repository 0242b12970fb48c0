// From a dense model to a mixture of experts that computes the same function: every expert is a
// copy of the dense feed-forward block, and the weights of the chosen ones sum to one ("Sparse
// Upcycling", arXiv:2212.05055; softmax over the chosen: "Mixtral of Experts", arXiv:2401.04088,
// section 2.1). Training can make the experts differ later.
#pragma once

#include <cstdint>

#include "convert/model_source.h"
#include "core/result.h"

namespace mixtral {

struct UpcycleOptions {
  size_t n_experts = 8;
  size_t n_experts_per_token = 2;
  uint64_t seed = 0;
  /// Standard deviation of the router's weights. A router of zeros would send every token to the
  /// same experts.
  double router_std = 0.02;
};

/// `dense` with its feed-forward blocks copied, bit by bit, and a random F32 router in each layer.
/// Fails with kBadInput if `dense` has experts already or the numbers contradict each other.
Result<ModelSource> upcycle(ModelSource dense, const UpcycleOptions& options);

}  // namespace mixtral
