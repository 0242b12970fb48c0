#include "io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "core/checked.h"
#include "io/json_events-inl.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own library
// Far above any model's; they bound what entries of a few bytes each can cost in memory.
constexpr size_t kMaxTensors = 65'536;
constexpr size_t kMaxMetadata = 65'536;
constexpr size_t kMaxNameBytes = 1'024;
constexpr size_t kMaxDimensions = 8;

// Reads the header's JSON event by event: a document of it would take many times its size.
//
//   {"__metadata__": {KEY: TEXT, …}, NAME: {"dtype": TEXT, "shape": […], "data_offsets": [A, B]},
//   …}
class HeaderEvents {
 public:
  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a bool"); }
  bool number_integer(int64_t) { return unexpected("a negative number"); }
  bool number_float(double, const std::string&) { return unexpected("a fraction"); }
  bool binary(nlohmann::json::binary_t&) { return unexpected("binary"); }

  bool number_unsigned(uint64_t value) {
    if (place_ != Place::kList) return unexpected("a number");
    if (numbers_.size() == kMaxDimensions) {
      return refuse(fmt::format("{}: more than {} numbers", where(), kMaxDimensions));
    }
    numbers_.push_back(value);
    return true;
  }

  bool string(std::string& value) {
    if (place_ == Place::kMetadata) return add_metadata(value);
    if (place_ != Place::kTensor || field_ != Field::kDtype) return unexpected("a string");
    if (value.size() > kMaxNameBytes || !is_printable(value)) {
      return refuse(fmt::format("{} is {}", where(), in_quotes(value)));
    }
    tensor_.dtype = std::move(value);
    return true;
  }

  bool key(std::string& value) {
    if (place_ == Place::kHeader) {
      if (value.empty() || value.size() > kMaxNameBytes || !is_printable(value)) {
        return refuse(fmt::format("tensor name {}, expected 1 to {} printable bytes",
                                  in_quotes(value), kMaxNameBytes));
      }
      name_ = std::move(value);
      return true;
    }
    if (place_ == Place::kMetadata) {
      metadata_key_ = std::move(value);
      return true;
    }
    return begin_field(value);
  }

  bool start_object(size_t) {
    if (place_ == Place::kFile) {
      place_ = Place::kHeader;
      return true;
    }
    if (place_ != Place::kHeader) return unexpected("an object");
    if (name_ == "__metadata__") {
      if (std::exchange(has_metadata_, true)) return refuse("\"__metadata__\" is there twice");
      place_ = Place::kMetadata;
      return true;
    }
    if (header.tensors.size() == kMaxTensors) {
      return refuse(fmt::format("more than {} tensors", kMaxTensors));
    }
    place_ = Place::kTensor;
    tensor_ = {};
    fields_seen_ = {};
    return true;
  }

  bool end_object() {
    if (place_ == Place::kTensor) return end_tensor();
    place_ = place_ == Place::kMetadata ? Place::kHeader : Place::kFile;
    return true;
  }

  bool start_array(size_t) {
    if (place_ != Place::kTensor || field_ == Field::kDtype) return unexpected("an array");
    place_ = Place::kList;
    numbers_.clear();
    return true;
  }

  bool end_array() {
    place_ = Place::kTensor;
    if (field_ == Field::kShape) {
      tensor_.shape = numbers_;
      return true;
    }
    if (numbers_.size() != 2 || numbers_[0] > numbers_[1]) {
      return refuse(fmt::format("{}, expected [begin, end]", where()));
    }
    tensor_.begin = numbers_[0];
    tensor_.end = numbers_[1];
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) {
    return refuse(json_syntax_message(error.what()));
  }

  SafetensorsHeader header;
  std::string refusal;

 private:
  enum class Place { kFile, kHeader, kMetadata, kTensor, kList };
  enum class Field { kDtype, kShape, kOffsets };
  static constexpr std::array<std::string_view, 3> kFieldNames = {"dtype", "shape", "data_offsets"};

  bool begin_field(std::string_view name) {
    const auto* known = std::find(kFieldNames.begin(), kFieldNames.end(), name);
    if (known == kFieldNames.end()) {
      return refuse(fmt::format("tensor {}: field {}, expected dtype, shape or data_offsets",
                                in_quotes(name_), in_quotes(name)));
    }
    const auto index = static_cast<size_t>(known - kFieldNames.begin());
    field_ = static_cast<Field>(index);
    if (std::exchange(fields_seen_[index], true)) {
      return refuse(fmt::format("{} is there twice", where()));
    }
    return true;
  }

  bool end_tensor() {
    for (size_t i = 0; i < kFieldNames.size(); ++i) {
      if (!fields_seen_[i]) {
        return refuse(fmt::format("tensor {}: no field {}", in_quotes(name_), kFieldNames[i]));
      }
    }
    tensor_.name = std::move(name_);
    header.tensors.push_back(std::move(tensor_));
    place_ = Place::kHeader;
    return true;
  }

  bool add_metadata(std::string& value) {
    if (header.metadata.size() == kMaxMetadata) {
      return refuse(fmt::format("\"__metadata__\": more than {} keys", kMaxMetadata));
    }
    const auto [place, is_new] = header.metadata.emplace(metadata_key_, std::move(value));
    if (is_new) return true;
    return refuse(fmt::format("\"__metadata__\": key {} is there twice", in_quotes(place->first)));
  }

  // The field being read, for messages.
  std::string where() const {
    if (place_ == Place::kFile) return "the header";
    if (place_ == Place::kHeader) return fmt::format("tensor {}", in_quotes(name_));
    if (place_ == Place::kMetadata)
      return fmt::format("\"__metadata__\": {}", in_quotes(metadata_key_));
    return fmt::format("tensor {}: {}", in_quotes(name_), kFieldNames[static_cast<size_t>(field_)]);
  }
  std::string_view expected() const {
    switch (place_) {
      case Place::kFile:
      case Place::kHeader: return "an object";
      case Place::kMetadata: return "a string";
      case Place::kList: return "whole numbers";
      case Place::kTensor: break;
    }
    return field_ == Field::kDtype ? "a string" : "an array";
  }
  bool unexpected(std::string_view found) {
    return refuse(fmt::format("{} is {}, expected {}", where(), found, expected()));
  }
  bool refuse(std::string message) {
    refusal = std::move(message);
    return false;
  }

  Place place_ = Place::kFile;
  Field field_ = Field::kDtype;
  std::string name_, metadata_key_;
  SafetensorsDeclaration tensor_;
  std::array<bool, 3> fields_seen_ = {};
  std::vector<uint64_t> numbers_;
  bool has_metadata_ = false;
};

Status check_unique_names(const std::vector<SafetensorsDeclaration>& tensors) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const auto& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return {};
  return fail(ErrorCode::kBadInput, "tensor {} is there twice", in_quotes(*twice));
}

// `tensors` in the order of their bytes cover 0 … data_bytes, each with the bytes its shape needs.
Status check_extents(const std::vector<SafetensorsDeclaration>& tensors, uint64_t data_bytes) {
  uint64_t covered = 0;
  for (const auto& tensor : tensors) {
    if (tensor.begin != covered) {
      return fail(ErrorCode::kBadInput,
                  "tensor {}: begins at byte {} of the data, expected {} where the one before ends",
                  in_quotes(tensor.name), tensor.begin, covered);
    }
    covered = tensor.end;
    if (covered > data_bytes) {
      return fail(ErrorCode::kBadInput,
                  "tensor {}: ends at byte {} of the data, but the file has {} (cut?)",
                  in_quotes(tensor.name), tensor.end, data_bytes);
    }
    const auto n_weights = checked_product(tensor.shape);
    const auto element_bytes = safetensors_dtype_bytes(tensor.dtype);
    if (!n_weights) {
      return fail(ErrorCode::kBadInput,
                  "tensor {}: the product of its dimensions overflows 64 bits",
                  in_quotes(tensor.name));
    }
    if (!element_bytes) continue;
    const auto n_bytes = (CheckedSize(*n_weights) * CheckedSize(*element_bytes)).value();
    if (n_bytes != tensor.end - tensor.begin) {
      return fail(ErrorCode::kBadInput, "tensor {}: {} bytes of data, but shape and dtype need {}",
                  in_quotes(tensor.name), tensor.end - tensor.begin,
                  n_bytes.value_or(std::numeric_limits<uint64_t>::max()));
    }
  }
  if (covered == data_bytes) return {};
  return fail(ErrorCode::kBadInput, "{} bytes of data, but the tensors end at byte {}", data_bytes,
              covered);
}

}  // namespace

std::optional<uint64_t> safetensors_dtype_bytes(std::string_view dtype) {
  static constexpr std::pair<std::string_view, uint64_t> kBytes[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
      {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
      {"U32", 4},  {"F32", 4}, {"I64", 8}, {"U64", 8},     {"F64", 8}};
  for (const auto& [name, bytes] : kBytes) {
    if (name == dtype) return bytes;
  }
  return std::nullopt;
}

Result<SafetensorsHeader> read_safetensors_header(const InputFile& file) {
  uint64_t length = 0;
  if (file.size() < sizeof length) {
    return fail(ErrorCode::kBadInput, "{} bytes, expected a safetensors file with a header",
                file.size());
  }
  MIXTRAL_TRY(file.read_at(0, std::as_writable_bytes(std::span(&length, 1))));
  const uint64_t room = file.size() - sizeof length;
  if (length > room || length > kMaxHeaderBytes) {
    return fail(ErrorCode::kBadInput, "a header of {} bytes, expected at most {}", length,
                std::min(room, kMaxHeaderBytes));
  }
  std::string text(length, '\0');
  MIXTRAL_TRY(file.read_at(sizeof length, std::as_writable_bytes(std::span(text))));
  HeaderEvents events;
  if (const auto stopped_at = parse_json_events(text, events)) {
    return fail(ErrorCode::kBadInput, "near byte {} of the header: {}", *stopped_at,
                events.refusal);
  }
  SafetensorsHeader header = std::move(events.header);
  header.data_begin = sizeof length + length;
  std::sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  MIXTRAL_TRY(check_unique_names(header.tensors));
  MIXTRAL_TRY(check_extents(header.tensors, room - length));
  return header;
}

}  // namespace mixtral
