#include "io/gguf_cursor.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/checked.h"

namespace mixtral {
namespace {

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in files");

constexpr uint64_t kChunkBytes = 64 << 10;
// Headers of real models take up to about 20 MB, nearly all of it the vocabulary.
constexpr uint64_t kMaxHeaderBytes = 256 << 20;

}  // namespace

uint64_t GgufCursor::limit() const { return std::min(end_, kMaxHeaderBytes); }

Status GgufCursor::check_room(uint64_t count, uint64_t item_bytes) const {
  if ((CheckedSize(count) * CheckedSize(item_bytes)).fits(remaining())) return {};
  if (end_ > kMaxHeaderBytes) {
    return fail(ErrorCode::kTooLarge,
                "{} items of at least {} bytes at byte {}, expected a header of at most {} bytes",
                count, item_bytes, position_, kMaxHeaderBytes);
  }
  return fail(ErrorCode::kBadInput,
              "{} items of at least {} bytes at byte {}, but the {} ends at byte {}", count,
              item_bytes, position_, end_ < file_.size() ? "header" : "file", end_);
}

Status GgufCursor::read(std::span<std::byte> out) {
  MIXTRAL_TRY(check_room(out.size(), 1));
  while (!out.empty()) {
    const uint64_t chunk_end = chunk_begin_ + chunk_.size();
    if (position_ < chunk_begin_ || position_ >= chunk_end) {
      MIXTRAL_TRY(fill());
      continue;
    }
    const size_t n = std::min<uint64_t>(out.size(), chunk_end - position_);
    std::memcpy(out.data(), chunk_.data() + (position_ - chunk_begin_), n);
    position_ += n;
    out = out.subspan(n);
  }
  return {};
}

Status GgufCursor::fill() {
  chunk_.resize(std::min(kChunkBytes, remaining()));
  chunk_begin_ = position_;
  return file_.read_at(chunk_begin_, chunk_);
}

Result<uint32_t> GgufCursor::read_u32() {
  uint32_t value = 0;
  MIXTRAL_TRY(read(std::as_writable_bytes(std::span(&value, 1))));
  return value;
}

Result<uint64_t> GgufCursor::read_u64() {
  uint64_t value = 0;
  MIXTRAL_TRY(read(std::as_writable_bytes(std::span(&value, 1))));
  return value;
}

Result<std::string> GgufCursor::read_string(uint64_t limit_bytes) {
  MIXTRAL_TRY(const uint64_t length, read_u64());
  if (length > limit_bytes) {
    return fail(ErrorCode::kBadInput, "a string of {} bytes at byte {}, expected at most {}",
                length, position_, limit_bytes);
  }
  MIXTRAL_TRY(check_room(length, 1));
  std::string text(length, '\0');
  MIXTRAL_TRY(read(std::as_writable_bytes(std::span(text))));
  return text;
}

Status GgufCursor::check_strings(uint64_t count) {
  const uint64_t begin = position_;
  for (uint64_t i = 0; i < count; ++i) {
    MIXTRAL_TRY(const uint64_t length, read_u64());
    MIXTRAL_TRY(check_room(length, 1));
    position_ += length;
  }
  position_ = begin;
  return {};
}

}  // namespace mixtral
