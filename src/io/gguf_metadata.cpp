#include <array>
#include <limits>

#include "io/gguf.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

std::string_view kind_name(const GgufValue& value) {
  static constexpr std::array<std::string_view, std::variant_size_v<GgufValue>> kNames = {
      "an unsigned integer", "a signed integer", "a float", "a bool", "a string",
      "unsigned integers",   "signed integers",  "floats",  "bools",  "strings"};
  return kNames[value.index()];
}

tl::unexpected<Error> wrong_kind(std::string_view key, const GgufValue& value,
                                 std::string_view expected) {
  return fail(ErrorCode::kBadInput, "key {} is {}, expected {}", in_quotes(key), kind_name(value),
              expected);
}

// The value of a key that must be a T if it is there.
template <class T>
Result<std::optional<T>> get(const GgufMetadata& metadata, std::string_view key,
                             std::string_view expected) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return std::nullopt;
  if (const T* typed = std::get_if<T>(value)) return *typed;
  return wrong_kind(key, *value, expected);
}

}  // namespace

void GgufMetadata::set(std::string key, GgufValue value) {
  const auto [place, is_new] = index_.emplace(key, items_.size());
  if (is_new) {
    items_.emplace_back(std::move(key), std::move(value));
  } else {
    items_[place->second].second = std::move(value);
  }
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto it = index_.find(std::string(key));
  return it == index_.end() ? nullptr : &items_[it->second].second;
}

Result<std::optional<uint64_t>> GgufMetadata::get_u64(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<uint64_t>(value)) return *number;
  if (const auto* number = std::get_if<int64_t>(value)) {
    if (*number >= 0) return static_cast<uint64_t>(*number);
    return fail(ErrorCode::kBadInput, "key {} is {}, expected no negative number", in_quotes(key),
                *number);
  }
  return wrong_kind(key, *value, "an integer");
}

Result<std::optional<double>> GgufMetadata::get_f64(std::string_view key) const {
  return get<double>(*this, key, "a float");
}

Result<std::optional<bool>> GgufMetadata::get_bool(std::string_view key) const {
  return get<bool>(*this, key, "a bool");
}

Result<std::optional<std::string>> GgufMetadata::get_string(std::string_view key) const {
  return get<std::string>(*this, key, "a string");
}

Result<const std::vector<std::string>*> GgufMetadata::get_strings(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (const auto* strings = std::get_if<std::vector<std::string>>(value)) return strings;
  return wrong_kind(key, *value, "strings");
}

Result<std::optional<std::vector<double>>> GgufMetadata::get_f64s(std::string_view key) const {
  return get<std::vector<double>>(*this, key, "floats");
}

Result<std::optional<std::vector<int64_t>>> GgufMetadata::get_i64s(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* numbers = std::get_if<std::vector<int64_t>>(value)) return *numbers;
  const auto* numbers = std::get_if<std::vector<uint64_t>>(value);
  if (numbers == nullptr) return wrong_kind(key, *value, "integers");
  std::vector<int64_t> result;
  result.reserve(numbers->size());
  for (const uint64_t number : *numbers) {
    if (number > std::numeric_limits<int64_t>::max()) {
      return fail(ErrorCode::kBadInput, "key {} holds {}, expected integers of 63 bits",
                  in_quotes(key), number);
    }
    result.push_back(static_cast<int64_t>(number));
  }
  return result;
}

}  // namespace mixtral
