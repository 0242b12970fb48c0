// The bytes of a GGUF header, and of what packed models share with it: numbers, strings, keys.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "io/gguf.h"

namespace mixtral {

/// How floats are written. Other programs expect 32 bits; only 64 keep every value.
enum class FloatWidth { kNarrow, kExact };

/// Appends values, little-endian, to a string of bytes.
class GgufEncoder {
 public:
  explicit GgufEncoder(FloatWidth width) : width_(width) {}

  template <class T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  /// Its length in 64 bits, then its bytes.
  void put_string(std::string_view text);
  /// The key, its type and its value. Integers take 32 bits where that is enough.
  void put_key(std::string_view key, const GgufValue& value);
  /// Appends zeros up to a multiple of `alignment`.
  void pad_to(uint64_t alignment);

  uint64_t size() const { return bytes_.size(); }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(bytes_)); }

 private:
  struct ValueWriter;
  std::string bytes_;
  FloatWidth width_;
};

}  // namespace mixtral
