#include "server/fields.h"

#include <algorithm>
#include <cmath>

namespace mixtral {

std::string_view kind_of(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "true or false";
  if (value.is_number()) return "a number";
  if (value.is_string()) return "a string";
  return value.is_array() ? "an array" : "an object";
}

bool is_client_name(std::string_view name) {
  constexpr size_t kMaxSize = 64;
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kMaxSize && std::all_of(name.begin(), name.end(), fits);
}

std::optional<int64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const auto number = value.get<double>();
  if (std::trunc(number) != number || std::abs(number) > 9.0e15) return std::nullopt;
  return static_cast<int64_t>(number);
}

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {}

std::string Fields::name_of(std::string_view key) const {
  if (path_.empty()) return std::string(key);
  return key.empty() ? path_ : fmt::format("{}.{}", path_, key);
}

const Json* Fields::find(std::string_view key) {
  known_.push_back(key);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::boolean(std::string_view key, bool otherwise) {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (value->is_boolean()) return value->get<bool>();
  refuse_type(key, *value, "true or false");
  return otherwise;
}

std::optional<int64_t> Fields::integer(std::string_view key, int64_t smallest, int64_t largest) {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = whole_number(*value);
  if (number && *number >= smallest && *number <= largest) return number;
  if (!value->is_number()) {
    refuse_type(key, *value, "a whole number");
  } else if (largest == INT64_MAX) {
    refuse(key, "{} is {}, expected a whole number from {}", name_of(key), value->dump(), smallest);
  } else {
    refuse(key, "{} is {}, expected a whole number from {} to {}", name_of(key), value->dump(),
           smallest, largest);
  }
  return std::nullopt;
}

std::optional<double> Fields::number(std::string_view key, double smallest, double largest) {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    refuse_type(key, *value, "a number");
    return std::nullopt;
  }
  const auto number = value->get<double>();
  if (number >= smallest && number <= largest) return number;
  refuse(key, "{} is {}, expected a number from {} to {}", name_of(key), value->dump(), smallest,
         largest);
  return std::nullopt;
}

std::optional<std::string> Fields::text(std::string_view key) {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  refuse_type(key, *value, "a string");
  return std::nullopt;
}

std::optional<std::string> Fields::choice(std::string_view key,
                                          const std::vector<std::string_view>& choices) {
  auto given = text(key);
  if (!given || std::find(choices.begin(), choices.end(), *given) != choices.end()) return given;
  refuse(key, "{} is not one of {}", name_of(key), fmt::join(choices, ", "));
  return std::nullopt;
}

const Json* Fields::array(std::string_view key) {
  const Json* value = find(key);
  if (value == nullptr || value->is_array()) return value;
  refuse_type(key, *value, "an array");
  return nullptr;
}

const Json* Fields::object(std::string_view key) {
  const Json* value = find(key);
  if (value == nullptr || value->is_object()) return value;
  refuse_type(key, *value, "an object");
  return nullptr;
}

void Fields::ignore(std::initializer_list<std::string_view> keys) {
  known_.insert(known_.end(), keys.begin(), keys.end());
}

void Fields::refuse(ApiError error) {
  if (!error_) error_ = std::move(error);
}

void Fields::refuse_with(const std::string& param, std::string what) {
  refuse(bad_request(param, "{}", what));
}

void Fields::refuse_type(std::string_view key, const Json& value, std::string_view expected) {
  refuse(key, "{} is {}, expected {}", name_of(key), kind_of(value), expected);
}

ApiStatus Fields::status() const {
  if (error_) return tl::unexpected(*error_);
  return {};
}

std::vector<std::string> Fields::unknown() const {
  std::vector<std::string> names;
  if (!object_.is_object()) return names;
  for (const auto& [key, value] : object_.items()) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) names.push_back(name_of(key));
  }
  return names;
}

}  // namespace mixtral
