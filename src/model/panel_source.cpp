#include "model/panel_source.h"

#include <algorithm>

#include "core/arena.h"
#include "quant/panel.h"

namespace mixtral {

Status PanelSource::read_rows(size_t matrix, size_t first_row, size_t n_rows,
                              std::span<std::byte> out) const {
  const Type stored = type(matrix);
  const size_t bytes = row_bytes(matrix), panel_size = panel_bytes(stored, cols());
  const AlignedBuffer panel(panel_size);
  if (panel.data() == nullptr) {
    return fail(ErrorCode::kTooLarge, "tensor {}: no memory for {} bytes", matrix_name(matrix),
                panel_size);
  }
  const size_t end = first_row + n_rows;
  for (size_t row = first_row; row < end;) {
    const size_t index = row / kPanelRows;
    MIXTRAL_TRY(entries_[matrix]->read(index * panel_size, {panel.data(), panel_size}));
    for (; row < std::min(end, (index + 1) * kPanelRows); ++row) {
      unpack_panel_row(stored, cols(), panel.data(), row % kPanelRows,
                       out.data() + (row - first_row) * bytes);
    }
  }
  return {};
}

std::shared_ptr<const std::byte> PanelSource::panels(size_t matrix) const {
  return {mapping_, mapping_->data() + entries_[matrix]->offset};
}

Status PanelSource::fetch_panels(size_t matrix, size_t first_byte, size_t n_bytes) const {
  return mapping_->fetch(entries_[matrix]->offset + first_byte, n_bytes);
}

}  // namespace mixtral
