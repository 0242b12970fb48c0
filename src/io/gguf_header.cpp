#include "io/gguf_header.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/checked.h"
#include "io/gguf_cursor.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

// Both limits are far above any model's, and bound what keys and tensors of a few bytes each can
// cost in memory.
constexpr uint64_t kMaxKeys = 65'536;
constexpr uint64_t kMaxTensors = 65'536;
constexpr uint64_t kMaxKeyBytes = 65'535;  // GGUF specification, "key"
constexpr uint64_t kMaxTensorNameBytes = 1'024;
constexpr uint64_t kMaxDimensions = 4;
constexpr uint64_t kMaxAlignment = 1 << 20;
// The shortest key has a length, one byte, a type and one byte of value; the shortest tensor a
// length, one byte, one dimension with its count, a type and an offset.
constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

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

Result<std::string> read_name(GgufCursor& cursor, uint64_t limit_bytes) {
  MIXTRAL_TRY(std::string name, cursor.read_string(limit_bytes));
  if (name.empty()) return fail(ErrorCode::kBadInput, "an empty name");
  if (!is_printable(name)) {
    return fail(ErrorCode::kBadInput, "a name with control characters: {}", in_quotes(name));
  }
  return name;
}

Status read_key(GgufCursor& cursor, GgufMetadata& metadata) {
  MIXTRAL_TRY(std::string key, read_name(cursor, kMaxKeyBytes));
  if (metadata.find(key) != nullptr) {
    return fail(ErrorCode::kBadInput, "{} is there twice", in_quotes(key));
  }
  Result<GgufValue> value = read_value(cursor);
  if (!value) return with_context(std::move(value).error(), in_quotes(key));
  metadata.set(std::move(key), std::move(*value));
  return {};
}

Status read_tensor_type(GgufCursor& cursor, GgufTensorDeclaration& tensor) {
  MIXTRAL_TRY(const uint32_t id, cursor.read_u32());
  if (const auto type = type_from_id(id)) {
    tensor.type = *type;
    return {};
  }
  const std::string_view name = gguf_type_name(id);
  if (name.empty()) return fail(ErrorCode::kBadInput, "type id {}, which GGUF does not define", id);
  return fail(ErrorCode::kUnsupported, "type {} (id {}) is not supported", name, id);
}

Status check_n_dims(uint64_t n_dims) {
  if (n_dims >= 1 && n_dims <= kMaxDimensions) return {};
  return fail(ErrorCode::kBadInput, "{} dimensions, expected 1 to {}", n_dims, kMaxDimensions);
}

Status read_tensor_body(GgufCursor& cursor, GgufTensorDeclaration& tensor) {
  MIXTRAL_TRY(const uint32_t n_dims, cursor.read_u32());
  MIXTRAL_TRY(check_n_dims(n_dims));
  tensor.shape.resize(n_dims);
  MIXTRAL_TRY(cursor.read(std::as_writable_bytes(std::span(tensor.shape))));
  std::reverse(tensor.shape.begin(), tensor.shape.end());
  MIXTRAL_TRY(read_tensor_type(cursor, tensor));
  MIXTRAL_TRY(tensor.n_bytes, gguf_tensor_bytes(tensor.type, tensor.shape));
  MIXTRAL_TRY(tensor.offset, cursor.read_u64());
  return {};
}

struct Preamble {
  uint64_t n_tensors, n_keys;
};

Result<Preamble> read_preamble(GgufCursor& cursor) {
  MIXTRAL_TRY(const uint32_t magic, cursor.read_u32());
  if (std::memcmp(&magic, "GGUF", sizeof magic) != 0) {
    return fail(ErrorCode::kBadInput, "begins with bytes {:08x}, expected \"GGUF\"",
                __builtin_bswap32(magic));
  }
  MIXTRAL_TRY(const uint32_t version, cursor.read_u32());
  if (version != 0 && (version & 0xFFFF) == 0) {
    return fail(ErrorCode::kUnsupported,
                "GGUF version {} in big-endian order, expected little-endian",
                __builtin_bswap32(version));
  }
  if (version != 2 && version != 3) {
    return fail(ErrorCode::kUnsupported, "GGUF version {}, expected 2 or 3", version);
  }
  Preamble preamble{};
  MIXTRAL_TRY(preamble.n_tensors, cursor.read_u64());
  MIXTRAL_TRY(preamble.n_keys, cursor.read_u64());
  return preamble;
}

Status check_count(const GgufCursor& cursor, uint64_t count, uint64_t min_bytes, uint64_t limit) {
  if (count > limit) {
    return fail(ErrorCode::kTooLarge, "{} of them, expected at most {}", count, limit);
  }
  return cursor.check_room(count, min_bytes);
}

Status read_keys(GgufCursor& cursor, uint64_t n_keys, GgufMetadata& metadata) {
  if (Status status = check_count(cursor, n_keys, kMinKeyBytes, kMaxKeys); !status) {
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

Status read_tensors(GgufCursor& cursor, uint64_t n_tensors,
                    std::vector<GgufTensorDeclaration>& tensors) {
  if (Status status = check_count(cursor, n_tensors, kMinTensorBytes, kMaxTensors); !status) {
    return with_context(std::move(status).error(), "tensors");
  }
  tensors.reserve(n_tensors);
  for (uint64_t i = 0; i < n_tensors; ++i) {
    GgufTensorDeclaration tensor{};
    if (Result<std::string> name = read_name(cursor, kMaxTensorNameBytes)) {
      tensor.name = *std::move(name);
    } else {
      return with_context(std::move(name).error(),
                          fmt::format("name of tensor {} of {}", i + 1, n_tensors));
    }
    if (Status status = read_tensor_body(cursor, tensor); !status) {
      return with_context(std::move(status).error(),
                          fmt::format("tensor {}", in_quotes(tensor.name)));
    }
    tensors.push_back(std::move(tensor));
  }
  return {};
}

}  // namespace

Result<uint64_t> gguf_alignment(const GgufMetadata& metadata) {
  MIXTRAL_TRY(const auto alignment, metadata.get_u64("general.alignment"));
  if (!alignment) return kGgufDefaultAlignment;
  if (!std::has_single_bit(*alignment) || *alignment < 8 || *alignment > kMaxAlignment) {
    return fail(ErrorCode::kBadInput,
                "key \"general.alignment\" is {}, expected a power of two from 8 to {}", *alignment,
                kMaxAlignment);
  }
  return *alignment;
}

Result<uint64_t> gguf_tensor_bytes(Type type, std::span<const uint64_t> shape) {
  MIXTRAL_TRY(check_n_dims(shape.size()));
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    return fail(ErrorCode::kBadInput, "a dimension is 0");
  }
  const TypeInfo& info = type_info(type);
  const uint64_t cols = shape.back();
  if (cols % info.block_size != 0) {
    return fail(ErrorCode::kBadInput, "rows of {} weights, expected a multiple of {} for type {}",
                cols, info.block_size, info.name);
  }
  CheckedSize bytes = CheckedSize(cols / info.block_size) * CheckedSize(info.block_bytes);
  for (const uint64_t dim : shape.first(shape.size() - 1)) bytes = bytes * CheckedSize(dim);
  // Counts of weights are computed from shapes everywhere, so these must not overflow either.
  if (!bytes.value() || !checked_product(shape)) {
    return fail(ErrorCode::kBadInput, "the product of its dimensions overflows 64 bits");
  }
  return *bytes.value();
}

Result<GgufHeader> read_gguf_header(const InputFile& file) {
  GgufCursor cursor(file);
  MIXTRAL_TRY(const Preamble preamble, read_preamble(cursor));
  GgufHeader header{};
  MIXTRAL_TRY(read_keys(cursor, preamble.n_keys, header.metadata));
  MIXTRAL_TRY(header.alignment, gguf_alignment(header.metadata));
  MIXTRAL_TRY(read_tensors(cursor, preamble.n_tensors, header.tensors));
  header.data_begin = (cursor.position() + header.alignment - 1) & ~(header.alignment - 1);
  return header;
}

}  // namespace mixtral
