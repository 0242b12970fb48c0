// Splitting matrix products into tasks for the pool. Private to cpu/.
#pragma once

#include <span>

#include "core/arena.h"
#include "cpu/activation_rows.h"
#include "cpu/cpu_weight.h"
#include "ops/backend.h"

namespace mixtral::cpu {

/// Rows that one pass over a panel multiplies, at most.
inline constexpr size_t kRowTile = 192;
/// f(first row, rows) for as few tiles as can be, of about the same size: each unpacks weights
/// anew.
template <class F>
void for_row_tiles(size_t n_rows, const F& f) {
  const size_t n_tiles = (n_rows + kRowTile - 1) / kRowTile;
  for (size_t tile = 0; tile < n_tiles; ++tile) {
    const size_t first = n_rows * tile / n_tiles;
    f(first, n_rows * (tile + 1) / n_tiles - first);
  }
}

/// Columns of a weight that exact mode widens at a time.
inline constexpr size_t kWidenCols = 256;

/// Part of one matrix of a weight.
struct PanelRange {
  const CpuWeight& weight;
  size_t matrix, first_panel, n_panels;
};

/// y[row * y_stride + i] = x row · weight row first_panel * 16 + i, for all rows of the range's
/// panels. `x` is in context.format() of the weight's type. `widened` is scratch of kWidenCols * 16
/// floats.
void multiply(const CpuContext& context, const PanelRange& range, const Activations& x,
              float* widened, float* y, size_t y_stride);

enum class OutputMode { kStore, kAdd };

/// part.y = (or +=) x · part.weightᵀ for each part.
void multiply_parts(const CpuContext& context, Arena& arena, TensorView<const float> x,
                    std::span<const LinearPart> parts, OutputMode mode);

/// What multiply_parts() takes from the arena for `n_rows` rows of at most `cols` columns.
size_t multiply_parts_bytes(const CpuContext& context, size_t n_rows, size_t cols);

}  // namespace mixtral::cpu
