// The oracle: every operation in plain scalar C++, written to be read and believed, not to be fast.
#pragma once

#include <memory>

#include "ops/backend.h"

namespace mixtral {

/// Weights stay as stored and are widened row by row; sums run in double; the cache is f32.
std::unique_ptr<Backend> make_reference_backend();

}  // namespace mixtral
