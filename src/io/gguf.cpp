#include "io/gguf.h"

#include <algorithm>
#include <charconv>

#include "core/checked.h"
#include "io/gguf_header.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

constexpr std::string_view kSplitNo = "split.no";
constexpr std::string_view kSplitCount = "split.count";
constexpr std::string_view kSplitTensors = "split.tensors.count";

// "PREFIX-00002-of-00005.gguf", taken apart.
struct SplitName {
  std::string prefix;
  uint64_t number, count;

  std::string part(uint64_t index) const {
    return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, index + 1, count);
  }
};

std::optional<SplitName> parse_split_name(std::string_view path) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (path.size() < kPattern.size()) return std::nullopt;
  const std::string_view end = path.substr(path.size() - kPattern.size());
  const auto digits = [&](size_t at) -> std::optional<uint64_t> {
    uint64_t value = 0;
    const char* last = end.data() + at + 5;
    const auto [stop, error] = std::from_chars(end.data() + at, last, value);
    return error == std::errc() && stop == last ? std::optional(value) : std::nullopt;
  };
  const auto number = digits(1), count = digits(10);
  if (!number || !count || end[0] != '-' || end.substr(6, 4) != "-of-" ||
      end.substr(15) != ".gguf") {
    return std::nullopt;
  }
  return SplitName{std::string(path.substr(0, path.size() - kPattern.size())), *number, *count};
}

// Every tensor lies inside the file, where the alignment allows, and shares no byte with another.
Status check_layout(const GgufHeader& header, uint64_t file_bytes) {
  std::vector<const GgufTensorDeclaration*> by_offset;
  by_offset.reserve(header.tensors.size());
  for (const auto& tensor : header.tensors) {
    if (tensor.offset % header.alignment != 0) {
      return fail(ErrorCode::kBadInput, "tensor {}: offset {}, expected a multiple of {}",
                  in_quotes(tensor.name), tensor.offset, header.alignment);
    }
    const CheckedSize end =
        CheckedSize(header.data_begin) + CheckedSize(tensor.offset) + CheckedSize(tensor.n_bytes);
    if (!end.fits(file_bytes)) {
      return fail(ErrorCode::kBadInput,
                  "tensor {}: {} bytes at byte {} of the data, which begins at byte {}, but the "
                  "file ends at byte {}",
                  in_quotes(tensor.name), tensor.n_bytes, tensor.offset, header.data_begin,
                  file_bytes);
    }
    by_offset.push_back(&tensor);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const GgufTensorDeclaration& before = *by_offset[i - 1];
    const GgufTensorDeclaration& after = *by_offset[i];
    if (after.offset - before.offset < before.n_bytes) {
      return fail(ErrorCode::kBadInput,
                  "tensor {}: begins at byte {} of the data, inside tensor {} of {} bytes at {}",
                  in_quotes(after.name), after.offset, in_quotes(before.name), before.n_bytes,
                  before.offset);
    }
  }
  return {};
}

// One file: its header, its tensors added to `tensors`.
Result<GgufMetadata> add_file(const std::string& path, TensorTable& tensors) {
  MIXTRAL_TRY(const auto file, InputFile::open(path));
  if (file->size() == 0)
    return fail(ErrorCode::kBadInput, "{}: an empty file, expected GGUF", path);
  Result<GgufHeader> header = read_gguf_header(*file);
  if (!header) return with_context(std::move(header).error(), path);
  if (Status status = check_layout(*header, file->size()); !status) {
    return with_context(std::move(status).error(), path);
  }
  for (auto& tensor : header->tensors) {
    MIXTRAL_TRY(tensors.add({std::move(tensor.name), tensor.type, std::move(tensor.shape), file,
                             header->data_begin + tensor.offset, tensor.n_bytes}));
  }
  return std::move(header->metadata);
}

Status check_number(const GgufMetadata& metadata, std::string_view key, uint64_t expected) {
  MIXTRAL_TRY(const auto found, metadata.get_u64(key));
  if (!found) return fail(ErrorCode::kBadInput, "no key \"{}\", expected {}", key, expected);
  if (*found == expected) return {};
  return fail(ErrorCode::kBadInput, "key \"{}\" is {}, expected {}", key, *found, expected);
}

Status check_part(const GgufMetadata& metadata, const std::string& path, uint64_t index,
                  uint64_t count) {
  Status status = check_number(metadata, kSplitNo, index);
  if (status) status = check_number(metadata, kSplitCount, count);
  if (!status) return with_context(std::move(status).error(), path);
  return {};
}

// The name of the first part must tell those of the others.
Result<SplitName> name_of_split(const std::string& path, uint64_t count) {
  const auto name = parse_split_name(path);
  if (!name || name->count != count) {
    return fail(ErrorCode::kBadInput,
                "{}: part of a file split in {}, expected a name that ends in -00001-of-{:05}.gguf",
                path, count, count);
  }
  if (name->number != 1) {
    return fail(ErrorCode::kBadInput, "{}: part {} of a split file, give the first: {}", path,
                name->number, name->part(0));
  }
  return *name;
}

Status add_other_parts(const std::string& path, uint64_t count, GgufFile& gguf) {
  MIXTRAL_TRY(const SplitName name, name_of_split(path, count));
  MIXTRAL_TRY(check_part(gguf.metadata, path, 0, count));
  for (uint64_t index = 1; index < count; ++index) {
    const std::string part = name.part(index);
    Result<GgufMetadata> metadata = add_file(part, gguf.tensors);
    if (!metadata) {
      return with_context(std::move(metadata).error(),
                          fmt::format("{}: part {} of {}", path, index + 1, count));
    }
    MIXTRAL_TRY(check_part(*metadata, part, index, count));
  }
  if (Status status = check_number(gguf.metadata, kSplitTensors, gguf.tensors.size()); !status) {
    return with_context(std::move(status).error(), path);
  }
  return {};
}

}  // namespace

Result<GgufFile> GgufFile::open(const std::string& path) {
  GgufFile gguf;
  MIXTRAL_TRY(gguf.metadata, add_file(path, gguf.tensors));
  const auto count = gguf.metadata.get_u64(kSplitCount);
  if (!count) return with_context(count.error(), path);
  if (count->value_or(1) > 1) MIXTRAL_TRY(add_other_parts(path, **count, gguf));
  return gguf;
}

}  // namespace mixtral
