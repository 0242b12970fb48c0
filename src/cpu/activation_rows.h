// Activations in the format that a weight's kernel wants. Private to cpu/.
#pragma once

#include <algorithm>
#include <cstring>

#include "core/arena.h"
#include "core/tensor_view.h"
#include "cpu/cpu_context.h"
#include "cpu/kernels/activation_chunk.h"

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
    } else {
      chunks_ = arena.take<std::byte>(n_rows * n_chunks() * kChunkBytes).data();
    }
  }
  /// What the constructor takes from the arena, at most, whatever the format.
  static constexpr size_t bytes(size_t n_rows, size_t cols) {
    const size_t chunks = (cols + kChunkCols - 1) / kChunkCols;
    return arena_bytes<float>(n_rows * std::max(cols, chunks * kChunkBytes / sizeof(float)));
  }

  ActivationFormat format() const { return format_; }
  size_t n_rows() const { return n_rows_; }

  /// Fills columns [first_col, first_col + n) of a row from floats. `first_col` begins a chunk, and
  /// n ends one or the row.
  void fill(const KernelTable& kernels, size_t row, size_t first_col, size_t n, const float* x) {
    if (format_ == ActivationFormat::kF32) {
      std::memcpy(values_ + row * cols_ + first_col, x, n * sizeof(float));
      return;
    }
    for (size_t col = 0; col < n; col += kChunkCols) {
      kernels.quantise(format_, x + col, std::min(kChunkCols, n - col),
                       chunk((first_col + col) / kChunkCols, row));
    }
  }

  /// Copies a whole row of `from`, which has the same format and width.
  void copy_row(size_t row, const ActivationRows& from, size_t from_row) {
    if (format_ == ActivationFormat::kF32) {
      std::memcpy(values_ + row * cols_, from.values_ + from_row * cols_, cols_ * sizeof(float));
      return;
    }
    for (size_t c = 0; c < n_chunks(); ++c)
      std::memcpy(chunk(c, row), from.chunk(c, from_row), kChunkBytes);
  }

  /// Rows [first, first + count) for a kernel.
  Activations view(size_t first, size_t count) const {
    Activations view;
    view.n_rows = count;
    if (format_ == ActivationFormat::kF32) {
      view.values = values_ + first * cols_;
      view.value_stride = cols_;
    } else {
      view.chunks = chunk(0, first);
      view.chunk_stride = n_rows_;
      view.end_chunk = n_chunks();
    }
    return view;
  }

 private:
  size_t n_chunks() const { return (cols_ + kChunkCols - 1) / kChunkCols; }
  std::byte* chunk(size_t index, size_t row) const {
    return chunks_ + (index * n_rows_ + row) * kChunkBytes;
  }

  ActivationFormat format_ = ActivationFormat::kF32;
  size_t n_rows_ = 0, cols_ = 0;
  float* values_ = nullptr;
  std::byte* chunks_ = nullptr;
};

/// All rows of `x` in `format`; on all threads if there are many.
ActivationRows make_activation_rows(const CpuContext& context, Arena& arena,
                                    ActivationFormat format, TensorView<const float> x);

}  // namespace mixtral::cpu
