#include "ops/load_rows.h"

#include <algorithm>

#include "quant/panel.h"
#include "quant/unpack.h"

namespace mixtral {
namespace {

// The failure for the first of the rows at `stored` with such a value.
Status not_finite(const WeightSource& source, size_t matrix, size_t first_row, size_t n_rows,
                  const std::byte* stored) {
  size_t row = 0;
  while (row + 1 < n_rows &&
         all_finite(source.type(matrix), stored + row * source.row_bytes(matrix), source.cols())) {
    ++row;
  }
  return fail(ErrorCode::kBadInput,
              "tensor {}, row {}: found NaN or infinity, expected finite weights",
              source.matrix_name(matrix), first_row + row);
}

}  // namespace

Status read_finite_rows(const WeightSource& source, size_t matrix, size_t first_row, size_t n_rows,
                        std::span<std::byte> out) {
  MIXTRAL_TRY(source.read_rows(matrix, first_row, n_rows, out));
  if (all_finite(source.type(matrix), out.data(), n_rows * source.cols())) return {};
  return not_finite(source, matrix, first_row, n_rows, out.data());
}

Status read_finite_panels(const WeightSource& source, size_t matrix, PanelSpan span,
                          std::span<std::byte> staging, std::byte* panels) {
  const Type type = source.type(matrix);
  const size_t cols = source.cols(), bytes = source.row_bytes(matrix);
  const size_t first_row = span.first * kPanelRows;
  const size_t n_rows = std::min(span.count * kPanelRows, source.rows() - first_row);
  MIXTRAL_TRY(source.read_rows(matrix, first_row, n_rows, staging.first(n_rows * bytes)));
  for (size_t row = 0; row < n_rows; row += kPanelRows) {
    const std::byte* stored = staging.data() + row * bytes;
    const size_t n = std::min(kPanelRows, n_rows - row);
    pack_panel(type, cols, stored, n, bytes, panels);
    // Of the panel, and not of the rows: its scales lie side by side.
    if (!panel_finite(type, cols, panels))
      return not_finite(source, matrix, first_row + row, n, stored);
    panels += panel_bytes(type, cols);
  }
  return {};
}

}  // namespace mixtral
