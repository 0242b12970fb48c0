#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_set>

#include "io/gguf.h"
#include "io/gguf_header.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

constexpr uint32_t kVersion = 3;

// Ids of metadata types (GGUF specification, gguf_metadata_value_type). The wider of two that hold
// one kind of number has the greater id.
constexpr uint32_t kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9,
                   kUint64 = 10, kInt64 = 11, kFloat64 = 12;

// Readers ask for numbers of 32 bits; 64 are used only for values that need them.
uint32_t stored_type(uint64_t value) {
  return value <= std::numeric_limits<uint32_t>::max() ? kUint32 : kUint64;
}
uint32_t stored_type(int64_t value) {
  return value == static_cast<int32_t>(value) ? kInt32 : kInt64;
}
uint32_t stored_type(double value) {
  const bool too_large =
      std::isfinite(value) && std::abs(value) > double{std::numeric_limits<float>::max()};
  return too_large ? kFloat64 : kFloat32;
}
uint32_t stored_type(bool) { return kBool; }
uint32_t stored_type(const std::string&) { return kString; }

// Appends the values of a header.
class HeaderBytes {
 public:
  template <class T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_string(std::string_view text) {
    put(uint64_t{text.size()});
    bytes_ += text;
  }

  // One metadata value with its type before it, for std::visit.
  template <class T>
  void operator()(const T& value) {
    put(stored_type(value));
    put_stored(stored_type(value), value);
  }
  template <class T>
  void operator()(const std::vector<T>& values) {
    uint32_t type = stored_type(T{});
    for (const T& value : values) type = std::max(type, stored_type(value));
    put(kArray);
    put(type);
    put(uint64_t{values.size()});
    for (const T& value : values) put_stored(type, value);
  }

  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(bytes_)); }

 private:
  void put_stored(uint32_t, bool value) { put(static_cast<uint8_t>(value)); }
  void put_stored(uint32_t, const std::string& value) { put_string(value); }
  void put_stored(uint32_t type, uint64_t value) {
    if (type == kUint64) return put(value);
    put(static_cast<uint32_t>(value));
  }
  void put_stored(uint32_t type, int64_t value) {
    if (type == kInt64) return put(value);
    put(static_cast<int32_t>(value));
  }
  void put_stored(uint32_t type, double value) {
    if (type == kFloat64) return put(value);
    put(static_cast<float>(value));
  }

  std::string bytes_;
};

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

HeaderBytes build_header(const GgufMetadata& metadata, const std::vector<GgufTensorInfo>& tensors,
                         const std::vector<uint64_t>& sizes, uint64_t alignment) {
  HeaderBytes header;
  for (const char c : {'G', 'G', 'U', 'F'}) header.put(c);
  header.put(kVersion);
  header.put(uint64_t{tensors.size()});
  header.put(uint64_t{metadata.items().size()});
  for (const auto& [key, value] : metadata.items()) {
    header.put_string(key);
    std::visit(header, value);
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
  const HeaderBytes header = build_header(metadata, tensors, *sizes, *alignment);
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
