// Where the numbers of a packed model's header stand, for its reader and its writer.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mixtral {

/// Header and slabs are whole numbers of these: what direct I/O and mappings want.
inline constexpr uint64_t kPackedPage = 4096;
/// Tensors begin on multiples of this: what kernels want.
inline constexpr uint64_t kPackedAlignment = 64;

/// The first bytes of the file, little-endian. Keys follow, as in a GGUF header, then for each
/// tensor its name, type and number of dimensions in 32 bits, dimensions, offset and checksum.
struct PackedPreamble {
  char magic[8];
  uint32_t version;
  uint32_t zero;
  uint64_t header_bytes;  ///< these included
  uint64_t file_bytes;
  uint64_t n_keys, n_tensors;
  uint64_t checksum;  ///< of the header's other bytes
};
static_assert(sizeof(PackedPreamble) == 56 && offsetof(PackedPreamble, checksum) == 48);

}  // namespace mixtral
