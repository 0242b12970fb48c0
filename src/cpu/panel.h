// The panel layout: 16 output rows side by side, so that kernels need no horizontal sums.
// One layout for every instruction set; the quants keep their bits, only their order changes.
#pragma once

#include <cstddef>
#include <span>

#include "quant/type.h"

namespace mixtral::cpu {

/// Bytes of one panel: 16 rows of `cols` weights, a multiple of 64.
size_t panel_bytes(Type type, size_t cols);

/// Writes the panel of up to 16 stored rows, `row_stride_bytes` apart at `rows`; missing rows
/// become zeros.
void pack_panel(Type type, size_t cols, const std::byte* rows, size_t n_rows,
                size_t row_stride_bytes, std::byte* panel);

/// The reverse for one row: exactly the stored bytes that pack_panel() got.
void unpack_panel_row(Type type, size_t cols, const std::byte* panel, size_t row,
                      std::byte* stored);

}  // namespace mixtral::cpu
