// Who watches the inputs of matrices go by, to learn which of their columns matter.
#pragma once

#include <cstddef>

#include "core/tensor_view.h"
#include "ops/weight.h"

namespace mixtral {

/// Sees the inputs of the matrices that a backend multiplies, for as long as it is set there.
class InputObserver {
 public:
  virtual ~InputObserver() = default;

  /// `x` is part of the inputs of matrix `matrix` of `weight`: whole rows, of which it holds the
  /// columns from `first_col` on. Calls come from any thread, several at once, but one at a time
  /// for a column of a matrix, and there the rows follow each other in the order of the tokens:
  /// sums of a column need no lock and do not depend on threads.
  virtual void on_inputs(const Weight& weight, size_t matrix, size_t first_col,
                         TensorView<const float> x) = 0;
};

}  // namespace mixtral
