// The storage types of weights: names, block sizes and GGUF ids (GGUF specification, ggml_type).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace mixtral {

/// Values are the ids that GGUF files use, so a file's id can be compared directly.
enum class Type : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
};

struct TypeInfo {
  Type type;
  std::string_view name;  ///< as llama.cpp and gguf-py spell it: "F32", "Q4_K"
  size_t block_size;      ///< weights per block; a row is a whole number of blocks
  size_t block_bytes;     ///< bytes per block
};

/// Every supported type, in the order of the ids.
std::span<const TypeInfo> all_types();
const TypeInfo& type_info(Type type);
std::string_view type_name(Type type);
/// The supported type with this GGUF id, or nothing.
std::optional<Type> type_from_id(uint32_t gguf_id);
/// The supported type of this name, upper or lower case, or nothing.
std::optional<Type> type_from_name(std::string_view name);
/// The name of any id that the GGUF specification knows, supported or not ("IQ2_XXS"); "" if
/// unknown.
std::string_view gguf_type_name(uint32_t gguf_id);

/// True for the types made of blocks with scales; false for F32, F16 and BF16.
bool is_quantised(Type type);
/// Bytes of one row of `cols` weights. `cols` must be a multiple of the block size.
size_t row_bytes(Type type, size_t cols);

}  // namespace mixtral
