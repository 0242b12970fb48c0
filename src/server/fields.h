// The fields of a request's JSON object: each read with its type and range checked, null as absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"

namespace mixtral {

/// Remembers the first thing that is wrong; later reads go on harmlessly. Not thread-safe.
class Fields {
 public:
  /// `object` must outlive this. `path` comes before the names of fields: "messages[0]".
  explicit Fields(const Json& object, std::string path = "");

  /// nullptr if the field is absent or null.
  const Json* find(std::string_view key);

  bool boolean(std::string_view key, bool otherwise);
  /// 16.0 counts as 16. Beyond the range is an error.
  std::optional<int64_t> integer(std::string_view key, int64_t smallest, int64_t largest);
  std::optional<double> number(std::string_view key, double smallest, double largest);
  std::optional<std::string> text(std::string_view key);
  /// One of the choices, or an error that lists them.
  std::optional<std::string> choice(std::string_view key,
                                    const std::vector<std::string_view>& choices);
  const Json* array(std::string_view key);
  const Json* object(std::string_view key);
  /// Fields that are read and mean nothing here.
  void ignore(std::initializer_list<std::string_view> keys);

  /// Notes what is wrong with the field, unless something was wrong before.
  template <class... Args>
  void refuse(std::string_view key, fmt::format_string<Args...> format, Args&&... args) {
    refuse_with(name_of(key), fmt::format(format, std::forward<Args>(args)...));
  }
  void refuse(ApiError error);

  /// "messages[0].role"
  std::string name_of(std::string_view key) const;
  bool good() const { return !error_.has_value(); }
  ApiStatus status() const;
  /// Fields that nothing asked for.
  std::vector<std::string> unknown() const;

 private:
  void refuse_with(const std::string& param, std::string what);
  void refuse_type(std::string_view key, const Json& value, std::string_view expected);

  const Json& object_;
  std::string path_;
  std::vector<std::string_view> known_;
  std::optional<ApiError> error_;
};

/// What a JSON value is, for messages: "a string", "null".
std::string_view kind_of(const Json& value);
/// Whether it may name a function or a schema: 1 to 64 of a-z A-Z 0-9 _ -.
bool is_client_name(std::string_view name);
/// The value as a whole number, if it is one: 16 or 16.0.
std::optional<int64_t> whole_number(const Json& value);

}  // namespace mixtral
