#include <algorithm>
#include <cstring>

#include "core/arena.h"
#include "io/gguf_encoder.h"
#include "io/packed.h"
#include "io/packed_layout.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

// Bytes that the caller brings; padding to a multiple of 64 follows.
uint64_t given_bytes(const PackedTensorInfo& tensor) {
  if (tensor.shape.size() == 1) return row_bytes(tensor.type, tensor.shape[0]);
  return packed_tensor_bytes(tensor.type, tensor.shape).value();
}

// Everything up to the first tensor, with the numbers that `parts` have; its size depends on none
// of them.
std::string build_header(const GgufMetadata& metadata, const std::vector<PackedTensorInfo>& tensors,
                         const std::vector<PackedPart>& parts) {
  GgufEncoder out(FloatWidth::kExact);
  PackedPreamble preamble{};
  out.put(preamble);
  for (const auto& [key, value] : metadata.items()) out.put_key(key, value);
  for (size_t i = 0; i < tensors.size(); ++i) {
    out.put_string(tensors[i].name);
    out.put(static_cast<uint32_t>(tensors[i].type));
    out.put(static_cast<uint32_t>(tensors[i].shape.size()));
    for (const uint64_t dim : tensors[i].shape) out.put(dim);
    out.put(parts[i].offset);
    out.put(parts[i].checksum);
  }
  out.pad_to(kPackedPage);
  std::memcpy(preamble.magic, kPackedMagic.data(), kPackedMagic.size());
  preamble.version = kPackedVersion;
  preamble.header_bytes = out.size();
  preamble.file_bytes = parts.empty() ? out.size() : parts.back().offset + parts.back().n_bytes;
  preamble.n_keys = metadata.items().size();
  preamble.n_tensors = tensors.size();

  Checksum checksum;
  checksum.add(std::as_bytes(std::span(&preamble, 1)).first(offsetof(PackedPreamble, checksum)));
  checksum.add(out.bytes().subspan(sizeof preamble));
  preamble.checksum = checksum.value();
  std::string header(reinterpret_cast<const char*>(out.bytes().data()), out.size());
  std::memcpy(header.data(), &preamble, sizeof preamble);
  return header;
}

// Each tensor's part, if the first begins at byte 0.
Result<std::vector<PackedPart>> plan_parts(const std::vector<PackedTensorInfo>& tensors) {
  std::vector<PackedPart> parts;
  uint64_t end = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Result<uint64_t> n_bytes = packed_tensor_bytes(tensors[i].type, tensors[i].shape);
    if (!n_bytes)
      return with_context(n_bytes.error(), fmt::format("tensor {}", in_quotes(tensors[i].name)));
    const uint64_t begin = end;
    const bool is_last_of_slab = i + 1 == tensors.size() || tensors[i + 1].begins_slab;
    end = align_up(begin + *n_bytes, is_last_of_slab ? kPackedPage : kPackedAlignment);
    parts.push_back({begin, end - begin, 0});
  }
  return parts;
}

}  // namespace

Result<PackedWriter> PackedWriter::create(const std::string& path, GgufMetadata metadata,
                                          std::vector<PackedTensorInfo> tensors) {
  Result<std::vector<PackedPart>> parts = plan_parts(tensors);
  if (!parts) return with_context(std::move(parts).error(), path);
  const uint64_t header_bytes = build_header(metadata, tensors, *parts).size();
  for (PackedPart& part : *parts) part.offset += header_bytes;
  MIXTRAL_TRY(OutputFile file, OutputFile::create(path));
  MIXTRAL_TRY(check_disk_space(
      path, parts->empty() ? header_bytes : parts->back().offset + parts->back().n_bytes));
  const std::string header = build_header(metadata, tensors, *parts);
  MIXTRAL_TRY(file.write(std::as_bytes(std::span(header))));
  return PackedWriter(std::move(file), std::move(metadata), std::move(tensors), *std::move(parts));
}

Status PackedWriter::append(std::span<const std::byte> bytes) {
  checksum_.add(bytes);
  return file_.write(bytes);
}

// Less than a page is missing.
Status PackedWriter::end_part() {
  static constexpr std::byte kZeros[kPackedPage] = {};
  MIXTRAL_TRY(append(std::span(kZeros).first(parts_[current_].n_bytes - written_)));
  parts_[current_].checksum = checksum_.value();
  checksum_ = Checksum();
  ++current_;
  written_ = 0;
  return {};
}

Status PackedWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (current_ == tensors_.size()) {
      return fail(ErrorCode::kBadInput, "{}: {} bytes more than its tensors have", file_.path(),
                  bytes.size());
    }
    const uint64_t missing = given_bytes(tensors_[current_]) - written_;
    const auto part = bytes.first(std::min<uint64_t>(bytes.size(), missing));
    MIXTRAL_TRY(append(part));
    written_ += part.size();
    bytes = bytes.subspan(part.size());
    if (part.size() == missing) MIXTRAL_TRY(end_part());
  }
  return {};
}

Status PackedWriter::finish() {
  if (current_ < tensors_.size()) {
    const PackedTensorInfo& tensor = tensors_[current_];
    return fail(ErrorCode::kBadInput, "{}: tensor {} has {} bytes, expected {}", file_.path(),
                in_quotes(tensor.name), written_, given_bytes(tensor));
  }
  const std::string header = build_header(metadata_, tensors_, parts_);
  MIXTRAL_TRY(file_.overwrite(0, std::as_bytes(std::span(header))));
  return file_.commit();
}

}  // namespace mixtral
