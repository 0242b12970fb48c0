// What one GGUF file declares of itself, checked as far as that needs no other file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "io/file.h"
#include "io/gguf.h"

namespace mixtral {

/// GGUF files without the key "general.alignment" have this one.
inline constexpr uint64_t kGgufDefaultAlignment = 32;
/// The alignment that the metadata asks for: a power of two from 8 to 1 MiB.
Result<uint64_t> gguf_alignment(const GgufMetadata& metadata);

/// Bytes of a tensor of this type and shape (outermost first); fails unless it has 1 to 4
/// dimensions; fails for a zero, an overflow or rows that are no whole number of blocks.
Result<uint64_t> gguf_tensor_bytes(Type type, std::span<const uint64_t> shape);

struct GgufTensorDeclaration {
  std::string name;
  Type type;
  std::vector<uint64_t> shape;  ///< outermost dimension first
  uint64_t offset;              ///< from the start of the data section
  uint64_t n_bytes;
};

struct GgufHeader {
  GgufMetadata metadata;
  std::vector<GgufTensorDeclaration> tensors;  ///< names are printable, and may still be duplicates
  uint64_t alignment;
  uint64_t data_begin;  ///< the byte of the file where the data section begins
};

/// Messages do not name the file.
Result<GgufHeader> read_gguf_header(const InputFile& file);

}  // namespace mixtral
