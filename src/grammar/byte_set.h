// Sets of bytes.
#pragma once

#include <array>
#include <cstdint>

namespace mixtral {

class ByteSet {
 public:
  static constexpr ByteSet all() {
    ByteSet set;
    set.words_.fill(~uint64_t{0});
    return set;
  }
  constexpr void add(uint8_t byte) { words_[byte / 64] |= uint64_t{1} << (byte % 64); }
  constexpr void add_range(uint8_t first, uint8_t last) {
    for (int byte = first; byte <= last; ++byte) add(static_cast<uint8_t>(byte));
  }
  constexpr bool contains(uint8_t byte) const { return words_[byte / 64] >> (byte % 64) & 1; }
  constexpr bool empty() const { return *this == ByteSet(); }
  constexpr ByteSet operator&(const ByteSet& other) const {
    ByteSet both;
    for (size_t i = 0; i < words_.size(); ++i) both.words_[i] = words_[i] & other.words_[i];
    return both;
  }
  constexpr bool operator==(const ByteSet&) const = default;
  const std::array<uint64_t, 4>& words() const { return words_; }

 private:
  std::array<uint64_t, 4> words_{};
};

}  // namespace mixtral
