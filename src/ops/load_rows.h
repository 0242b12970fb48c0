// Reading weight rows for a backend, with the check that every backend owes the user.
#pragma once

#include <span>

#include "core/result.h"
#include "ops/weight.h"

namespace mixtral {

/// source.read_rows(), then kBadInput naming tensor, matrix and row if a value or a block's scale
/// is NaN or infinite.
Status read_finite_rows(const WeightSource& source, size_t matrix, size_t first_row, size_t n_rows,
                        std::span<std::byte> out);

}  // namespace mixtral
