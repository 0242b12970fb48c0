// Builds the bytes of test files by hand, so that readers are not tested with our own writers only,
// and says whether an error is what a person should see.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace mixtral::testing {

inline void write_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The bytes of numbers, little-endian, one after another.
template <class... Numbers>
std::string le(Numbers... numbers) {
  std::string bytes;
  (bytes.append(reinterpret_cast<const char*>(&numbers), sizeof numbers), ...);
  return bytes;
}

/// A GGUF string: length in 64 bits, then the bytes.
inline std::string gguf_string(std::string_view text) {
  return le(uint64_t{text.size()}) + std::string(text);
}

/// A GGUF file under construction; every part can be wrong on purpose.
struct GgufParts {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<std::string> keys, tensors;  ///< encoded
  std::optional<uint64_t> n_keys, n_tensors;
  size_t alignment = 32;
  std::string data;

  static std::string key(std::string_view name, uint32_t type, std::string_view value) {
    return gguf_string(name) + le(type) + std::string(value);
  }
  /// `dims` as in the file: fastest first.
  static std::string tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                            uint64_t offset) {
    std::string bytes = gguf_string(name) + le(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) bytes += le(dim);
    return bytes + le(type, offset);
  }
  std::string bytes() const {
    std::string file =
        magic + le(version, n_tensors.value_or(tensors.size()), n_keys.value_or(keys.size()));
    for (const auto& key : keys) file += key;
    for (const auto& tensor : tensors) file += tensor;
    file.append((alignment - file.size() % alignment) % alignment, '\0');
    return file + data;
  }
};

/// A safetensors file with this header.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return le(uint64_t{header.size()}) + std::string(header) + std::string(data);
}

/// Fails the test unless `error` has this code and is one line that holds all of `parts`.
inline void expect_error(const Error& error, ErrorCode code,
                         const std::vector<std::string>& parts) {
  EXPECT_EQ(static_cast<int>(error.code), static_cast<int>(code)) << error.message;
  EXPECT_EQ(error.message.find_first_of("\n\r"), std::string::npos) << error.message;
  for (const auto& part : parts) {
    EXPECT_NE(error.message.find(part), std::string::npos)
        << "no \"" << part << "\" in: " << error.message;
  }
}

}  // namespace mixtral::testing
