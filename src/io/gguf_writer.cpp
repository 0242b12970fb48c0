#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "io/gguf.h"
#include "io/gguf_encoder.h"
#include "io/gguf_header.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

constexpr uint32_t kVersion = 3;

// The bytes of each tensor, all of them checked.
Result<std::vector<uint64_t>> check_tensors(const std::vector<GgufTensorInfo>& tensors) {
  std::vector<uint64_t> sizes;
  std::unordered_set<std::string_view> names;
  for (const GgufTensorInfo& tensor : tensors) {
    const Result<uint64_t> n_bytes = gguf_tensor_bytes(tensor.type, tensor.shape);
    if (!n_bytes) {
      return with_context(n_bytes.error(), fmt::format("tensor {}", in_quotes(tensor.name)));
    }
    if (!names.insert(tensor.name).second) {
      return fail(ErrorCode::kBadInput, "tensor {} is there twice", in_quotes(tensor.name));
    }
    sizes.push_back(*n_bytes);
  }
  return sizes;
}

GgufEncoder build_header(const GgufMetadata& metadata, const std::vector<GgufTensorInfo>& tensors,
                         const std::vector<uint64_t>& sizes, uint64_t alignment) {
  GgufEncoder header(FloatWidth::kNarrow);
  for (const char c : {'G', 'G', 'U', 'F'}) header.put(c);
  header.put(kVersion);
  header.put(uint64_t{tensors.size()});
  header.put(uint64_t{metadata.items().size()});
  for (const auto& [key, value] : metadata.items()) {
    header.put_key(key, value);
  }
  uint64_t offset = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& shape = tensors[i].shape;
    header.put_string(tensors[i].name);
    header.put(static_cast<uint32_t>(shape.size()));
    for (size_t d = shape.size(); d-- > 0;) header.put(uint64_t{shape[d]});
    header.put(static_cast<uint32_t>(tensors[i].type));
    header.put(offset);
    offset += (sizes[i] + alignment - 1) / alignment * alignment;
  }
  return header;
}

}  // namespace

Result<GgufWriter> GgufWriter::create(const std::string& path, const GgufMetadata& metadata,
                                      std::vector<GgufTensorInfo> tensors) {
  Result<std::vector<uint64_t>> sizes = check_tensors(tensors);
  if (!sizes) return with_context(std::move(sizes).error(), path);
  const Result<uint64_t> alignment = gguf_alignment(metadata);
  if (!alignment) return with_context(alignment.error(), path);
  MIXTRAL_TRY(OutputFile file, OutputFile::create(path));
  const GgufEncoder header = build_header(metadata, tensors, *sizes, *alignment);
  MIXTRAL_TRY(check_disk_space(
      path, std::accumulate(sizes->begin(), sizes->end(), uint64_t{header.bytes().size()})));
  MIXTRAL_TRY(file.write(header.bytes()));
  MIXTRAL_TRY(file.pad_to(*alignment));
  return GgufWriter(std::move(file), std::move(tensors), *std::move(sizes), *alignment);
}

GgufWriter::GgufWriter(OutputFile file, std::vector<GgufTensorInfo> tensors,
                       std::vector<uint64_t> sizes, uint64_t alignment)
    : file_(std::move(file)),
      tensors_(std::move(tensors)),
      sizes_(std::move(sizes)),
      alignment_(alignment) {}

Status GgufWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (current_ == tensors_.size()) {
      return fail(ErrorCode::kBadInput, "{}: {} bytes more than its tensors have", file_.path(),
                  bytes.size());
    }
    const auto n = std::min<uint64_t>(bytes.size(), sizes_[current_] - current_written_);
    MIXTRAL_TRY(file_.write(bytes.first(n)));
    bytes = bytes.subspan(n);
    current_written_ += n;
    if (current_written_ == sizes_[current_]) {
      MIXTRAL_TRY(file_.pad_to(alignment_));
      ++current_;
      current_written_ = 0;
    }
  }
  return {};
}

Status GgufWriter::finish() {
  if (current_ < tensors_.size()) {
    return fail(ErrorCode::kBadInput, "{}: tensor {} has {} bytes, expected {}", file_.path(),
                in_quotes(tensors_[current_].name), current_written_, sizes_[current_]);
  }
  return file_.commit();
}

}  // namespace mixtral
