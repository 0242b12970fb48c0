#include "ops/load_rows.h"

#include "quant/unpack.h"

namespace mixtral {

Status read_finite_rows(const WeightSource& source, size_t matrix, size_t first_row, size_t n_rows,
                        std::span<std::byte> out) {
  MIXTRAL_TRY(source.read_rows(matrix, first_row, n_rows, out));
  const Type type = source.type(matrix);
  if (all_finite(type, out.data(), n_rows * source.cols())) return {};
  const size_t row_bytes = source.row_bytes(matrix);
  for (size_t r = 0; r < n_rows; ++r) {
    if (all_finite(type, out.data() + r * row_bytes, source.cols())) continue;
    return fail(ErrorCode::kBadInput,
                "tensor {}, row {}: found NaN or infinity, expected finite weights",
                source.matrix_name(matrix), first_row + r);
  }
  return {};
}

}  // namespace mixtral
