#include "io/gguf_header.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/checked.h"
#include "io/gguf_cursor.h"
#include "io/gguf_keys.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

// Far above any model's, and bounds what tensors of a few bytes each can cost in memory.
constexpr uint64_t kMaxTensors = 65'536;
constexpr uint64_t kMaxTensorNameBytes = 1'024;
constexpr uint64_t kMaxDimensions = 4;
constexpr uint64_t kMaxAlignment = 1 << 20;
// The shortest tensor has a length, one byte, one dimension with its count, a type and an offset.
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

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

Status read_tensors(GgufCursor& cursor, uint64_t n_tensors,
                    std::vector<GgufTensorDeclaration>& tensors) {
  if (Status status = check_gguf_count(cursor, n_tensors, kMinTensorBytes, kMaxTensors); !status) {
    return with_context(std::move(status).error(), "tensors");
  }
  tensors.reserve(n_tensors);
  for (uint64_t i = 0; i < n_tensors; ++i) {
    GgufTensorDeclaration tensor{};
    if (Result<std::string> name = read_gguf_name(cursor, kMaxTensorNameBytes)) {
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
  MIXTRAL_TRY(read_gguf_keys(cursor, preamble.n_keys, header.metadata));
  MIXTRAL_TRY(header.alignment, gguf_alignment(header.metadata));
  MIXTRAL_TRY(read_tensors(cursor, preamble.n_tensors, header.tensors));
  header.data_begin = (cursor.position() + header.alignment - 1) & ~(header.alignment - 1);
  return header;
}

}  // namespace mixtral
