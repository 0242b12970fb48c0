// Arithmetic on sizes that come from files: 64 bits, and an overflow is an empty value, never a
// wrapped one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace mixtral {

/// A 64-bit size that remembers whether any step of its computation overflowed.
class CheckedSize {
 public:
  constexpr CheckedSize(uint64_t value) : value_(value) {}  // NOLINT(google-explicit-constructor)

  friend constexpr CheckedSize operator+(CheckedSize a, CheckedSize b) {
    uint64_t sum = 0;
    const bool overflow = __builtin_add_overflow(a.value_, b.value_, &sum);
    return {sum, a.ok_ && b.ok_ && !overflow};
  }
  friend constexpr CheckedSize operator*(CheckedSize a, CheckedSize b) {
    uint64_t product = 0;
    const bool overflow = __builtin_mul_overflow(a.value_, b.value_, &product);
    return {product, a.ok_ && b.ok_ && !overflow};
  }

  /// The value, or nothing if the computation overflowed.
  constexpr std::optional<uint64_t> value() const {
    return ok_ ? std::optional<uint64_t>(value_) : std::nullopt;
  }
  /// True if the value is known and not above `limit`.
  constexpr bool fits(uint64_t limit) const { return ok_ && value_ <= limit; }

 private:
  constexpr CheckedSize(uint64_t value, bool ok) : value_(value), ok_(ok) {}
  uint64_t value_;
  bool ok_ = true;
};

/// Product of all dimensions, or nothing on overflow. An empty list gives 1 (a scalar).
constexpr std::optional<uint64_t> checked_product(std::span<const uint64_t> dims) {
  CheckedSize product = 1;
  for (const uint64_t dim : dims) product = product * dim;
  return product.value();
}

}  // namespace mixtral
