// From stored weights to floats, with the same float operations in the same order as gguf-py and
// ggml.
#pragma once

#include <cstddef>

#include "quant/type.h"

namespace mixtral {

/// Writes `n` floats for `n` weights stored at `packed` (any alignment). `n` must be a multiple of
/// the type's block size.
void unpack(Type type, const std::byte* packed, size_t n, float* out);

/// True if every float and every block scale at `packed` is finite: no NaN, no infinity.
bool all_finite(Type type, const std::byte* packed, size_t n);

}  // namespace mixtral
