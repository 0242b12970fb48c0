// Reading weight rows for a backend, with the check that every backend owes the user.
#pragma once

#include <span>

#include "core/result.h"
#include "ops/weight.h"

namespace mixtral {

/// Consecutive panels of a matrix.
struct PanelSpan {
  size_t first = 0, count = 0;
};

/// source.read_rows(), then kBadInput naming tensor, matrix and row if a value or a block's scale
/// is NaN or infinite.
Status read_finite_rows(const WeightSource& source, size_t matrix, size_t first_row, size_t n_rows,
                        std::span<std::byte> out);

/// The same for the rows of some panels (quant/panel.h), which are written to `panels` one after
/// another. `staging` is memory for the stored rows; let it begin at a multiple of 64, since the
/// system may copy to other places at a quarter of the speed.
Status read_finite_panels(const WeightSource& source, size_t matrix, PanelSpan span,
                          std::span<std::byte> staging, std::byte* panels);

}  // namespace mixtral
