// From floats to stored weights: rounding to the nearest representable block.
#pragma once

#include <cstddef>

#include "quant/type.h"

namespace mixtral {

/// Writes `n` floats as `n` weights of `type` at `packed` (any alignment). `n` must be a multiple
/// of the type's block size and every float finite. `importance`, if given, holds `n` non-negative
/// weights of the squared error (larger: this column matters more); nullptr weighs all alike.
void pack(Type type, const float* values, size_t n, const float* importance, std::byte* packed);

}  // namespace mixtral
