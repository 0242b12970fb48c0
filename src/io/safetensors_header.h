// The header of one safetensors file, checked against the file.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "io/file.h"

namespace mixtral {

struct SafetensorsDeclaration {
  std::string name;  ///< printable and unique
  std::string dtype;
  std::vector<uint64_t> shape;
  uint64_t begin = 0, end = 0;  ///< bytes of the data section
};

struct SafetensorsHeader {
  std::vector<SafetensorsDeclaration> tensors;  ///< in the order of their bytes, without gaps
  std::map<std::string, std::string> metadata;
  uint64_t data_begin = 0;  ///< the byte of the file where the data section begins
};

/// Bytes of one element of a dtype that the format knows, or nothing.
std::optional<uint64_t> safetensors_dtype_bytes(std::string_view dtype);

/// Extents are checked for every tensor, their sizes for dtypes known to safetensors_dtype_bytes.
/// Messages do not name the file.
Result<SafetensorsHeader> read_safetensors_header(const InputFile& file);

}  // namespace mixtral
