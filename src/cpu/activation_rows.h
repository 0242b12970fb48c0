// Activations in the format that a weight's kernel wants. Private to cpu/.
#pragma once

#include <cstring>

#include "core/arena.h"
#include "core/tensor_view.h"
#include "cpu/cpu_context.h"

namespace mixtral::cpu {

/// Rows of `cols` activations in one format, in the step's arena. Each row stands alone, so that
/// rows may be filled, and copied from other rows, on any thread.
class ActivationRows {
 public:
  ActivationRows() = default;
  /// Takes room for the rows; their content is undefined.
  ActivationRows(Arena& arena, ActivationFormat format, size_t n_rows, size_t cols)
      : format_(format), n_rows_(n_rows), cols_(cols) {
    if (format == ActivationFormat::kF32) {
      values_ = arena.take<float>(n_rows * cols).data();
      return;
    }
    scales_per_row_ = cols / scale_block();
    sums_per_row_ = cols / sum_block();
    quants_ = arena.take<int8_t>(n_rows * cols).data();
    scales_ = arena.take<float>(n_rows * scales_per_row_).data();
    sums_ = arena.take<int16_t>(n_rows * sums_per_row_).data();
  }
  /// What the constructor takes from the arena, at most, whatever the format.
  static constexpr size_t bytes(size_t n_rows, size_t cols) {
    return arena_bytes<float>(n_rows * cols) + 2 * kAlignment;
  }

  ActivationFormat format() const { return format_; }
  size_t n_rows() const { return n_rows_; }

  /// Fills columns [first_col, first_col + n) of a row from floats. Both are multiples of the
  /// scale's block.
  void fill(const KernelTable& kernels, size_t row, size_t first_col, size_t n, const float* x) {
    if (format_ == ActivationFormat::kF32) {
      std::memcpy(values_ + row * cols_ + first_col, x, n * sizeof(float));
      return;
    }
    kernels.quantise(format_, x, n, quants_ + row * cols_ + first_col,
                     scales_ + row * scales_per_row_ + first_col / scale_block(),
                     sums_ + row * sums_per_row_ + first_col / sum_block());
  }

  /// Copies a whole row of `from`, which has the same format and width.
  void copy_row(size_t row, const ActivationRows& from, size_t from_row) {
    copy_part(values_, from.values_, cols_, row, from_row);
    copy_part(quants_, from.quants_, cols_, row, from_row);
    copy_part(scales_, from.scales_, scales_per_row_, row, from_row);
    copy_part(sums_, from.sums_, sums_per_row_, row, from_row);
  }

  /// Rows [first, first + count) for a kernel.
  Activations view(size_t first, size_t count) const {
    Activations view;
    view.n_rows = count;
    if (format_ == ActivationFormat::kF32) {
      view.values = values_ + first * cols_;
      view.value_stride = cols_;
      return view;
    }
    view.quants = quants_ + first * cols_;
    view.quant_stride = cols_;
    view.scales = scales_ + first * scales_per_row_;
    view.scale_stride = scales_per_row_;
    view.sums = sums_ + first * sums_per_row_;
    view.sum_stride = sums_per_row_;
    return view;
  }

 private:
  size_t scale_block() const { return format_ == ActivationFormat::kQ8x32 ? 32 : 256; }
  size_t sum_block() const { return format_ == ActivationFormat::kQ8x32 ? 32 : 16; }

  template <class T>
  static void copy_part(T* to, const T* from, size_t n, size_t row, size_t from_row) {
    if (to != nullptr) std::memcpy(to + row * n, from + from_row * n, n * sizeof(T));
  }

  ActivationFormat format_ = ActivationFormat::kF32;
  size_t n_rows_ = 0, cols_ = 0, scales_per_row_ = 0, sums_per_row_ = 0;
  float* values_ = nullptr;
  int8_t* quants_ = nullptr;
  float* scales_ = nullptr;
  int16_t* sums_ = nullptr;
};

/// All rows of `x` in `format`; on all threads if there are many.
ActivationRows make_activation_rows(const CpuContext& context, Arena& arena,
                                    ActivationFormat format, TensorView<const float> x);

}  // namespace mixtral::cpu
