// Borrowed row-major matrices: activations, logits, routing tables.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "core/check.h"

namespace mixtral {

/// A [rows, cols] matrix that someone else owns; rows lie `stride` elements apart. Copying is free.
template <class T>
class TensorView {
 public:
  TensorView() = default;
  TensorView(T* data, size_t rows, size_t cols) : TensorView(data, rows, cols, cols) {}
  TensorView(T* data, size_t rows, size_t cols, size_t stride)
      : data_(data), rows_(rows), cols_(cols), stride_(stride) {}

  /// A view of mutable elements reads as a view of const ones.
  operator TensorView<const T>() const  // NOLINT(google-explicit-constructor)
      requires(!std::is_const_v<T>) {
    return {data_, rows_, cols_, stride_};
  }

  T* data() const { return data_; }
  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  size_t stride() const { return stride_; }
  bool empty() const { return rows_ == 0 || cols_ == 0; }

  T* row(size_t r) const {
    MIXTRAL_DCHECK(r < rows_, "row out of range");
    return data_ + r * stride_;
  }
  std::span<T> row_span(size_t r) const { return {row(r), cols_}; }
  TensorView rows_from(size_t first, size_t count) const {
    MIXTRAL_DCHECK(first + count <= rows_, "rows out of range");
    return {data_ + first * stride_, count, cols_, stride_};
  }

 private:
  T* data_ = nullptr;
  size_t rows_ = 0, cols_ = 0, stride_ = 0;
};

}  // namespace mixtral
