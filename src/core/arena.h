// Memory with a purpose and an end: aligned buffers, and the arena that a step takes its scratch
// from.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/check.h"
#include "core/tensor_view.h"

namespace mixtral {

/// Every buffer that kernels read or write starts on such a boundary: one cache line, one zmm
/// register.
inline constexpr size_t kAlignment = 64;

constexpr size_t align_up(size_t n, size_t alignment = kAlignment) {
  return (n + alignment - 1) / alignment * alignment;
}

/// Owns `size` zeroed bytes on a kAlignment boundary, in 2 MB pages where the system has them.
/// Movable.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// An empty buffer (data() == nullptr) if the system has not enough memory.
  explicit AlignedBuffer(size_t size);
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    AlignedBuffer(std::move(other)).swap(*this);
    return *this;
  }
  ~AlignedBuffer();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void swap(AlignedBuffer& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Hands out parts of one buffer, front to back; reset() takes all of them back. Not thread-safe.
/// Running out is a broken invariant: whoever owns the arena sized it for the largest step.
class Arena {
 public:
  Arena() = default;
  explicit Arena(size_t capacity) : buffer_(capacity) {}

  template <class T>
  std::span<T> take(size_t count) {
    const size_t begin = used_;
    const size_t end = begin + align_up(count * sizeof(T));
    MIXTRAL_CHECK(end <= buffer_.size(), "the step's arena is too small");
    used_ = end;
    return {reinterpret_cast<T*>(buffer_.data() + begin), count};
  }
  template <class T>
  TensorView<T> take_matrix(size_t rows, size_t cols) {
    return {take<T>(rows * cols).data(), rows, cols};
  }

  size_t used() const { return used_; }
  size_t capacity() const { return buffer_.size(); }
  void reset() { used_ = 0; }
  /// Gives back everything taken since `mark`, a former used().
  void rewind(size_t mark) { used_ = mark; }

 private:
  AlignedBuffer buffer_;
  size_t used_ = 0;
};

/// What Arena::take would use for `count` elements of T: for computing capacities.
template <class T>
constexpr size_t arena_bytes(size_t count) {
  return align_up(count * sizeof(T));
}

}  // namespace mixtral
