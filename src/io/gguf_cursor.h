// Reads a header front to back, a chunk at a time, and never beyond its end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "io/file.h"

namespace mixtral {

/// Little-endian values from a file or a part of it. Nothing is allocated for a length before that
/// many bytes are known to be there. Messages name the byte; the caller adds file and field.
class GgufCursor {
 public:
  /// `file` must outlive the cursor. It reads from byte `begin` on, up to byte `end` or the end of
  /// the file.
  explicit GgufCursor(const InputFile& file, uint64_t begin = 0, uint64_t end = UINT64_MAX)
      : file_(file), position_(begin), end_(std::min(end, file.size())) {}

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
  uint64_t position_, end_;
  std::vector<std::byte> chunk_;
  uint64_t chunk_begin_ = 0;
};

}  // namespace mixtral
