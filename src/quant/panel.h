// The panel layout: 16 output rows side by side, so that kernels need no horizontal sums.
// One layout for every instruction set; the quants keep their bits, only their order changes.
//
// Packed models (io/packed.h) hold these bytes: whoever changes them gives that format a new
// version.
#pragma once

#include <cstddef>
#include <span>

#include "quant/panel_layout.h"
#include "quant/type.h"

namespace mixtral {

/// Panels of a matrix of `rows` rows.
constexpr size_t panels_of(size_t rows) { return rows / kPanelRows + (rows % kPanelRows != 0); }

/// Bytes of one panel: 16 rows of `cols` weights, a multiple of 64.
size_t panel_bytes(Type type, size_t cols);

/// Writes the panel of up to 16 stored rows, `row_stride_bytes` apart at `rows`; missing rows
/// become rows of zero bytes, which are zeros in every type.
void pack_panel(Type type, size_t cols, const std::byte* rows, size_t n_rows,
                size_t row_stride_bytes, std::byte* panel);

/// The reverse for one row: exactly the stored bytes that pack_panel() got.
void unpack_panel_row(Type type, size_t cols, const std::byte* panel, size_t row,
                      std::byte* stored);

/// True if every float and every block scale of the 16 rows is finite: no NaN, no infinity.
bool panel_finite(Type type, size_t cols, const std::byte* panel);

}  // namespace mixtral
