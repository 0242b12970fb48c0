#include <limits>

#include "core/checked.h"
#include "io/json.h"
#include "io/quoted.h"
#include "io/safetensors.h"
#include "io/safetensors_header.h"

namespace mixtral {
namespace {

Result<uint64_t> tensor_bytes(const SafetensorsTensorInfo& tensor) {
  const auto element_bytes = safetensors_dtype_bytes(tensor.dtype);
  if (!element_bytes) {
    return fail(ErrorCode::kUnsupported, "tensor {}: dtype {}", in_quotes(tensor.name),
                in_quotes(tensor.dtype));
  }
  const auto n_weights = checked_product(tensor.shape);
  const auto n_bytes = (CheckedSize(n_weights.value_or(0)) * CheckedSize(*element_bytes)).value();
  if (n_weights && n_bytes) return *n_bytes;
  return fail(ErrorCode::kBadInput, "tensor {}: the product of its dimensions overflows 64 bits",
              in_quotes(tensor.name));
}

struct HeaderText {
  std::string json;
  uint64_t data_bytes;
};

Result<HeaderText> build_header(const std::vector<SafetensorsTensorInfo>& tensors,
                                const std::map<std::string, std::string>& metadata) {
  // Appended without look-ups; the names were made unique by `names`.
  Json header = Json::object();
  auto& fields = header.get_ref<Json::object_t&>();
  if (!metadata.empty()) fields.emplace_back("__metadata__", Json(metadata));
  std::map<std::string_view, bool> names;
  CheckedSize end = 0;
  for (const SafetensorsTensorInfo& tensor : tensors) {
    MIXTRAL_TRY(const uint64_t n_bytes, tensor_bytes(tensor));
    if (!names.emplace(tensor.name, true).second) {
      return fail(ErrorCode::kBadInput, "tensor {} is there twice", in_quotes(tensor.name));
    }
    const CheckedSize begin = end;
    end = begin + CheckedSize(n_bytes);
    if (!end.value()) return fail(ErrorCode::kTooLarge, "the tensors' sizes overflow 64 bits");
    fields.emplace_back(tensor.name, Json{{"dtype", tensor.dtype},
                                          {"shape", tensor.shape},
                                          {"data_offsets", {*begin.value(), *end.value()}}});
  }
  // Names that are not UTF-8 would make the library throw: they are written with U+FFFD instead.
  HeaderText text{header.dump(-1, ' ', false, Json::error_handler_t::replace), *end.value()};
  // Spaces up to a multiple of 8 keep the data aligned (format description, "Notes").
  text.json.append((8 - text.json.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

Result<SafetensorsWriter> SafetensorsWriter::create(
    const std::string& path, const std::vector<SafetensorsTensorInfo>& tensors,
    const std::map<std::string, std::string>& metadata) {
  Result<HeaderText> header = build_header(tensors, metadata);
  if (!header) return with_context(std::move(header).error(), path);
  MIXTRAL_TRY(OutputFile file, OutputFile::create(path));
  MIXTRAL_TRY(check_disk_space(path, sizeof(uint64_t) + header->json.size() + header->data_bytes));
  const uint64_t length = header->json.size();
  MIXTRAL_TRY(file.write(std::as_bytes(std::span(&length, 1))));
  MIXTRAL_TRY(file.write(std::as_bytes(std::span(header->json))));
  return SafetensorsWriter(std::move(file), header->data_bytes);
}

SafetensorsWriter::SafetensorsWriter(OutputFile file, uint64_t data_bytes)
    : file_(std::move(file)), data_bytes_(data_bytes) {}

Status SafetensorsWriter::write(std::span<const std::byte> bytes) {
  if (bytes.size() > data_bytes_ - written_) {
    return fail(ErrorCode::kBadInput, "{}: {} bytes of data, expected {}", file_.path(),
                written_ + bytes.size(), data_bytes_);
  }
  MIXTRAL_TRY(file_.write(bytes));
  written_ += bytes.size();
  return {};
}

Status SafetensorsWriter::finish() {
  if (written_ != data_bytes_) {
    return fail(ErrorCode::kBadInput, "{}: {} bytes of data, expected {}", file_.path(), written_,
                data_bytes_);
  }
  return file_.commit();
}

}  // namespace mixtral
