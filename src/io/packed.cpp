#include "io/packed.h"

#include <algorithm>
#include <cstring>

#include "core/arena.h"
#include "core/checked.h"
#include "io/gguf_cursor.h"
#include "io/gguf_keys.h"
#include "io/packed_layout.h"
#include "io/quoted.h"
#include "quant/panel.h"

namespace mixtral {
namespace {

// Headers of real models take up to about 20 MB, nearly all of it the vocabulary.
constexpr uint64_t kMaxHeaderBytes = 256 << 20;
// Far above any model's; together with the room that each takes in the header they bound memory.
constexpr uint64_t kMaxItems = 1 << 20;
constexpr uint64_t kMaxDimension = uint64_t{1} << 31;
constexpr uint64_t kMaxNameBytes = 1024;
// A name of one byte with its length, type, number of dimensions, one dimension, offset, checksum.
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 4 + 8 + 8 + 8;

Result<PackedPreamble> read_preamble(const InputFile& file) {
  PackedPreamble preamble{};
  if (file.size() < sizeof preamble) {
    return fail(ErrorCode::kBadInput, "{} bytes, expected a packed model with a header of {}",
                file.size(), kPackedPage);
  }
  MIXTRAL_TRY(file.read_at(0, std::as_writable_bytes(std::span(&preamble, 1))));
  const std::string_view magic(preamble.magic, sizeof preamble.magic);
  if (magic != kPackedMagic) {
    return fail(ErrorCode::kBadInput, "begins with {}, expected {}", in_quotes(magic),
                in_quotes(kPackedMagic));
  }
  if (preamble.version != kPackedVersion) {
    return fail(ErrorCode::kUnsupported,
                "a packed model of version {}, expected {}: pack it again from what it was made of",
                preamble.version, kPackedVersion);
  }
  if (preamble.file_bytes != file.size()) {
    return fail(ErrorCode::kBadInput, "{} bytes, but its header says {} (cut?)", file.size(),
                preamble.file_bytes);
  }
  const uint64_t limit = std::min(file.size(), kMaxHeaderBytes);
  if (preamble.header_bytes < sizeof preamble || preamble.header_bytes > limit ||
      preamble.header_bytes % kPackedPage != 0) {
    return fail(ErrorCode::kBadInput, "a header of {} bytes, expected a multiple of {} up to {}",
                preamble.header_bytes, kPackedPage, limit);
  }
  return preamble;
}

Status check_header(const InputFile& file, const PackedPreamble& preamble) {
  Checksum checksum;
  checksum.add(std::as_bytes(std::span(&preamble, 1)).first(offsetof(PackedPreamble, checksum)));
  std::vector<std::byte> chunk(kPackedPage * 16);
  for (uint64_t at = sizeof preamble; at < preamble.header_bytes;) {
    const auto part =
        std::span(chunk).first(std::min<uint64_t>(chunk.size(), preamble.header_bytes - at));
    MIXTRAL_TRY(file.read_at(at, part));
    checksum.add(part);
    at += part.size();
  }
  if (checksum.value() == preamble.checksum) return {};
  return fail(ErrorCode::kBadInput,
              "header: checksum {:016x}, expected {:016x}: the file is damaged", checksum.value(),
              preamble.checksum);
}

struct TensorDeclaration {
  Type type = Type::kF32;
  std::vector<uint64_t> shape;
  uint64_t n_bytes = 0;
  uint64_t offset = 0, checksum = 0;
};

Result<TensorDeclaration> read_tensor_body(GgufCursor& cursor) {
  TensorDeclaration tensor;
  MIXTRAL_TRY(const uint32_t id, cursor.read_u32());
  const auto type = type_from_id(id);
  if (!type) return fail(ErrorCode::kBadInput, "type id {}, which packed models do not have", id);
  tensor.type = *type;
  MIXTRAL_TRY(const uint32_t n_dims, cursor.read_u32());
  if (n_dims != 1 && n_dims != 2)
    return fail(ErrorCode::kBadInput, "{} dimensions, expected 1 or 2", n_dims);
  tensor.shape.resize(n_dims);
  MIXTRAL_TRY(cursor.read(std::as_writable_bytes(std::span(tensor.shape))));
  MIXTRAL_TRY(tensor.n_bytes, packed_tensor_bytes(tensor.type, tensor.shape));
  MIXTRAL_TRY(tensor.offset, cursor.read_u64());
  MIXTRAL_TRY(tensor.checksum, cursor.read_u64());
  return tensor;
}

// Tensors follow the header and each other with nothing but padding between them. `end` is where
// the one before ends.
Status check_place(const TensorDeclaration& tensor, uint64_t end, uint64_t file_bytes) {
  const uint64_t near = align_up(end, kPackedAlignment), on_page = align_up(end, kPackedPage);
  if (tensor.offset != near && tensor.offset != on_page) {
    return fail(ErrorCode::kBadInput, "begins at byte {}, expected {} or {}", tensor.offset, near,
                on_page);
  }
  if ((CheckedSize(tensor.offset) + CheckedSize(tensor.n_bytes)).fits(file_bytes)) return {};
  return fail(ErrorCode::kBadInput, "{} bytes at byte {}, but the file ends at byte {}",
              tensor.n_bytes, tensor.offset, file_bytes);
}

Status read_tensors(GgufCursor& cursor, const PackedPreamble& preamble, PackedFile& packed) {
  const uint64_t n_tensors = preamble.n_tensors;
  if (Status status = check_gguf_count(cursor, n_tensors, kMinTensorBytes, kMaxItems); !status)
    return with_context(std::move(status).error(), "tensors");
  uint64_t end = preamble.header_bytes;
  for (uint64_t i = 0; i < n_tensors; ++i) {
    Result<std::string> name = read_gguf_name(cursor, kMaxNameBytes);
    if (!name) {
      return with_context(std::move(name).error(),
                          fmt::format("name of tensor {} of {}", i + 1, n_tensors));
    }
    const std::string where = fmt::format("tensor {}", in_quotes(*name));
    Result<TensorDeclaration> tensor = read_tensor_body(cursor);
    if (!tensor) return with_context(std::move(tensor).error(), where);
    if (Status status = check_place(*tensor, end, preamble.file_bytes); !status)
      return with_context(std::move(status).error(), where);
    end = tensor->offset + tensor->n_bytes;
    if (i != 0) packed.parts.back().n_bytes = tensor->offset - packed.parts.back().offset;
    packed.parts.push_back(
        {tensor->offset, preamble.file_bytes - tensor->offset, tensor->checksum});
    const bool in_panels = tensor->shape.size() == 2;
    MIXTRAL_TRY(packed.tensors.add({*std::move(name), tensor->type, std::move(tensor->shape),
                                    packed.file, tensor->offset, tensor->n_bytes, in_panels}));
  }
  if (align_up(end, kPackedPage) == preamble.file_bytes) return {};
  return fail(ErrorCode::kBadInput, "the tensors end at byte {}, but the file at {}", end,
              preamble.file_bytes);
}

Status read_header(PackedFile& packed) {
  MIXTRAL_TRY(const PackedPreamble preamble, read_preamble(*packed.file));
  MIXTRAL_TRY(check_header(*packed.file, preamble));
  GgufCursor cursor(*packed.file, sizeof preamble, preamble.header_bytes);
  MIXTRAL_TRY(read_gguf_keys(cursor, preamble.n_keys, packed.metadata));
  MIXTRAL_TRY(read_tensors(cursor, preamble, packed));
  if (align_up(cursor.position(), kPackedPage) == preamble.header_bytes) return {};
  return fail(ErrorCode::kBadInput, "a header of {} bytes, but what it lists ends at byte {}",
              preamble.header_bytes, cursor.position());
}

}  // namespace

Result<uint64_t> packed_tensor_bytes(Type type, std::span<const uint64_t> shape) {
  MIXTRAL_CHECK(shape.size() == 1 || shape.size() == 2, "a vector or a matrix");
  for (const uint64_t dim : shape) {
    if (dim != 0 && dim <= kMaxDimension) continue;
    return fail(ErrorCode::kBadInput, "a dimension is {}, expected 1 to {}", dim, kMaxDimension);
  }
  const TypeInfo& info = type_info(type);
  const uint64_t cols = shape.back();
  if (cols % info.block_size != 0) {
    return fail(ErrorCode::kBadInput, "rows of {} weights, expected a multiple of {} for type {}",
                cols, info.block_size, info.name);
  }
  if (shape.size() == 1) return align_up(row_bytes(type, cols), kPackedAlignment);
  const CheckedSize bytes = CheckedSize(panels_of(shape[0])) * CheckedSize(panel_bytes(type, cols));
  if (bytes.value()) return *bytes.value();
  return fail(ErrorCode::kBadInput, "the product of its dimensions overflows 64 bits");
}

Result<PackedFile> PackedFile::open(const std::string& path) {
  PackedFile packed;
  MIXTRAL_TRY(packed.file, InputFile::open(path));
  if (Status status = read_header(packed); !status)
    return with_context(std::move(status).error(), path);
  return packed;
}

}  // namespace mixtral
