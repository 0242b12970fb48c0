// Whether two models compute the same function: the proof of an upcycling.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/function_ref.h"
#include "core/progress.h"
#include "core/result.h"
#include "model/checkpoint.h"
#include "ops/backend.h"

namespace mixtral {

/// How far the logits of two models lie apart over one text.
struct ModelComparison {
  size_t n_positions = 0;
  size_t n_same_best = 0;        ///< positions whose most probable token is the same
  float largest_difference = 0;  ///< of any logit at any position
  float largest_logit = 0;       ///< of the first model, absolute: what differences compare with

  /// Sums of the same numbers in another order differ by rounding only, some millionths of the
  /// largest logit for each layer.
  bool same_function() const { return largest_difference <= 2e-4f * largest_logit; }
};

/// Runs both models over `ids` from an empty cache, one after the other, so that only one is in
/// memory. `make_backend` is called for each. Fails if an id lies outside the vocabulary or the
/// vocabularies differ in size.
Result<ModelComparison> compare_models(const Checkpoint& first, const Checkpoint& second,
                                       std::span<const int32_t> ids,
                                       FunctionRef<Result<std::unique_ptr<Backend>>()> make_backend,
                                       Progress* progress);

}  // namespace mixtral
