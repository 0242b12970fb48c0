// Reads a GGUF header front to back, a chunk at a time, and never beyond the file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "io/file.h"

namespace mixtral {

/// Little-endian values from the front of a file. Nothing is allocated for a length before the file
/// is known to have that many bytes. Messages name the byte; the caller adds file and field.
class GgufCursor {
 public:
  /// `file` must outlive the cursor.
  explicit GgufCursor(const InputFile& file) : file_(file) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return limit() - position_; }

  Status read(std::span<std::byte> out);
  Result<uint32_t> read_u32();
  Result<uint64_t> read_u64();
  /// A length of 64 bits, then that many bytes; at most `limit_bytes`.
  Result<std::string> read_string(uint64_t limit_bytes);
  /// Steps over `count` strings, for which the file must have room, and back to where it was.
  Status check_strings(uint64_t count);
  /// Fails unless `count` items of at least `item_bytes` each can still follow.
  Status check_room(uint64_t count, uint64_t item_bytes) const;

 private:
  uint64_t limit() const;
  Status fill();

  const InputFile& file_;
  uint64_t position_ = 0;
  std::vector<std::byte> chunk_;
  uint64_t chunk_begin_ = 0;
};

}  // namespace mixtral
