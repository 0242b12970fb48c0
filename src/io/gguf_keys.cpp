#include "io/gguf_keys.h"

#include <algorithm>

#include "io/quoted.h"

namespace mixtral {
namespace {

// Far above any model's, and bounds what keys of a few bytes each can cost in memory.
constexpr uint64_t kMaxKeys = 65'536;
constexpr uint64_t kMaxKeyBytes = 65'535;  // GGUF specification, "key"
// The shortest key has a length, one byte, a type and one byte of value.
constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;

// Ids of metadata types (GGUF specification, gguf_metadata_value_type).
enum ValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
  kNValueTypes
};

tl::unexpected<Error> unknown_value_type(uint32_t type) {
  return fail(ErrorCode::kBadInput, "value type {}, expected 0 to {}", type, kNValueTypes - 1);
}

Result<bool> to_bool(uint8_t byte) {
  if (byte > 1) return fail(ErrorCode::kBadInput, "a bool of value {}, expected 0 or 1", byte);
  return byte == 1;
}

// One number as the file has it (Stored), widened to what GgufValue holds (Wide).
template <class Stored, class Wide>
Result<GgufValue> read_number(GgufCursor& cursor) {
  Stored value{};
  MIXTRAL_TRY(cursor.read(std::as_writable_bytes(std::span(&value, 1))));
  return GgufValue(static_cast<Wide>(value));
}

template <class Stored, class Wide>
Result<GgufValue> read_numbers(GgufCursor& cursor, uint64_t count) {
  MIXTRAL_TRY(cursor.check_room(count, sizeof(Stored)));
  std::vector<Wide> values;
  values.reserve(count);
  Stored block[1024];
  while (count > 0) {
    const auto part = std::span(block).first(std::min<uint64_t>(count, std::size(block)));
    MIXTRAL_TRY(cursor.read(std::as_writable_bytes(part)));
    for (const Stored value : part) values.push_back(static_cast<Wide>(value));
    count -= part.size();
  }
  return GgufValue(std::move(values));
}

Result<GgufValue> read_bool(GgufCursor& cursor) {
  uint8_t byte = 0;
  MIXTRAL_TRY(cursor.read(std::as_writable_bytes(std::span(&byte, 1))));
  MIXTRAL_TRY(const bool value, to_bool(byte));
  return GgufValue(value);
}

Result<GgufValue> read_bools(GgufCursor& cursor, uint64_t count) {
  MIXTRAL_TRY(cursor.check_room(count, 1));
  std::vector<bool> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    MIXTRAL_TRY(const GgufValue value, read_bool(cursor));
    values.push_back(std::get<bool>(value));
  }
  return GgufValue(std::move(values));
}

Result<GgufValue> read_strings(GgufCursor& cursor, uint64_t count) {
  MIXTRAL_TRY(cursor.check_strings(count));
  std::vector<std::string> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    MIXTRAL_TRY(std::string value, cursor.read_string(cursor.remaining()));
    values.push_back(std::move(value));
  }
  return GgufValue(std::move(values));
}

Result<GgufValue> read_array(GgufCursor& cursor) {
  MIXTRAL_TRY(const uint32_t type, cursor.read_u32());
  MIXTRAL_TRY(const uint64_t count, cursor.read_u64());
  switch (type) {
    case kUint8: return read_numbers<uint8_t, uint64_t>(cursor, count);
    case kInt8: return read_numbers<int8_t, int64_t>(cursor, count);
    case kUint16: return read_numbers<uint16_t, uint64_t>(cursor, count);
    case kInt16: return read_numbers<int16_t, int64_t>(cursor, count);
    case kUint32: return read_numbers<uint32_t, uint64_t>(cursor, count);
    case kInt32: return read_numbers<int32_t, int64_t>(cursor, count);
    case kFloat32: return read_numbers<float, double>(cursor, count);
    case kUint64: return read_numbers<uint64_t, uint64_t>(cursor, count);
    case kInt64: return read_numbers<int64_t, int64_t>(cursor, count);
    case kFloat64: return read_numbers<double, double>(cursor, count);
    case kBool: return read_bools(cursor, count);
    case kString: return read_strings(cursor, count);
    case kArray: return fail(ErrorCode::kUnsupported, "an array of arrays, which no model has");
    default: return unknown_value_type(type);
  }
}

Result<GgufValue> read_value(GgufCursor& cursor) {
  MIXTRAL_TRY(const uint32_t type, cursor.read_u32());
  switch (type) {
    case kUint8: return read_number<uint8_t, uint64_t>(cursor);
    case kInt8: return read_number<int8_t, int64_t>(cursor);
    case kUint16: return read_number<uint16_t, uint64_t>(cursor);
    case kInt16: return read_number<int16_t, int64_t>(cursor);
    case kUint32: return read_number<uint32_t, uint64_t>(cursor);
    case kInt32: return read_number<int32_t, int64_t>(cursor);
    case kFloat32: return read_number<float, double>(cursor);
    case kUint64: return read_number<uint64_t, uint64_t>(cursor);
    case kInt64: return read_number<int64_t, int64_t>(cursor);
    case kFloat64: return read_number<double, double>(cursor);
    case kBool: return read_bool(cursor);
    case kString: return cursor.read_string(cursor.remaining());
    case kArray: return read_array(cursor);
    default: return unknown_value_type(type);
  }
}

Status read_key(GgufCursor& cursor, GgufMetadata& metadata) {
  MIXTRAL_TRY(std::string key, read_gguf_name(cursor, kMaxKeyBytes));
  if (metadata.find(key) != nullptr) {
    return fail(ErrorCode::kBadInput, "{} is there twice", in_quotes(key));
  }
  Result<GgufValue> value = read_value(cursor);
  if (!value) return with_context(std::move(value).error(), in_quotes(key));
  metadata.set(std::move(key), std::move(*value));
  return {};
}

}  // namespace

Status check_gguf_count(const GgufCursor& cursor, uint64_t count, uint64_t min_bytes,
                        uint64_t limit) {
  if (count > limit) {
    return fail(ErrorCode::kTooLarge, "{} of them, expected at most {}", count, limit);
  }
  return cursor.check_room(count, min_bytes);
}

Result<std::string> read_gguf_name(GgufCursor& cursor, uint64_t limit_bytes) {
  MIXTRAL_TRY(std::string name, cursor.read_string(limit_bytes));
  if (name.empty()) return fail(ErrorCode::kBadInput, "an empty name");
  if (!is_printable(name)) {
    return fail(ErrorCode::kBadInput, "a name with control characters: {}", in_quotes(name));
  }
  return name;
}

Status read_gguf_keys(GgufCursor& cursor, uint64_t n_keys, GgufMetadata& metadata) {
  if (Status status = check_gguf_count(cursor, n_keys, kMinKeyBytes, kMaxKeys); !status) {
    return with_context(std::move(status).error(), "metadata keys");
  }
  for (uint64_t i = 0; i < n_keys; ++i) {
    if (Status status = read_key(cursor, metadata); !status) {
      return with_context(std::move(status).error(),
                          fmt::format("metadata key {} of {}", i + 1, n_keys));
    }
  }
  return {};
}

}  // namespace mixtral
