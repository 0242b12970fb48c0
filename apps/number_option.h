// Options that take a number: read whole, checked against a range, refused by the option's name
// before anything is loaded.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace mixtral {

/// A check for options whose text must not be empty.
inline std::string not_empty(const std::string& text) {
  return text.empty() ? "an empty text" : "";
}

/// The whole of `text` as a number; nullopt for anything else, NaN and infinities included.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) return std::nullopt;
  }
  return value;
}

/// What an option allows, and how a message says so.
template <class T>
struct NumberRange {
  T smallest = std::numeric_limits<T>::lowest(), largest = std::numeric_limits<T>::max();
  bool without_smallest = false, without_largest = false;

  bool contains(T value) const {
    return (without_smallest ? value > smallest : value >= smallest) &&
           (without_largest ? value < largest : value <= largest);
  }
  std::string text() const {
    const std::string kind = std::is_floating_point_v<T> ? "a number" : "a whole number";
    const std::string from = fmt::format("{} {}", without_smallest ? "above" : "from", smallest);
    if (largest == std::numeric_limits<T>::max()) return fmt::format("{} {}", kind, from);
    return fmt::format("{} {} {} {}", kind, from, without_largest ? "to below" : "to", largest);
  }
};

/// The number that the option with these names was given; otherwise throws CLI::ValidationError.
template <class T>
T number_of(const std::string& names, const std::string& text, NumberRange<T> range) {
  const auto value = parse_number<T>(text);
  if (value && range.contains(*value)) return *value;
  throw CLI::ValidationError(names.substr(names.rfind(',') + 1),
                             fmt::format("{}, expected {}", text, range.text()));
}

/// How help texts name what an option takes.
template <class T>
constexpr const char* kNumberName = std::is_floating_point_v<T> ? "NUMBER" : "N";

/// `target` (a T or an optional one) keeps its value unless the option is given.
template <class T, class Target>
CLI::Option* add_number_option(CLI::App& command, const std::string& names, Target& target,
                               const std::string& description, NumberRange<T> range) {
  return command
      .add_option_function<std::string>(
          names,
          [&target, range, names](const std::string& text) {
            target = number_of(names, text, range);
          },
          description)
      ->type_name(kNumberName<T>);
}

/// The same for several numbers, with commas between them.
template <class T>
CLI::Option* add_numbers_option(CLI::App& command, const std::string& names, std::vector<T>& target,
                                const std::string& description, NumberRange<T> range) {
  return command
      .add_option_function<std::vector<std::string>>(
          names,
          [&target, range, names](const std::vector<std::string>& texts) {
            target.clear();
            for (const std::string& text : texts) target.push_back(number_of(names, text, range));
          },
          description)
      ->delimiter(',')
      ->type_name(kNumberName<T>);
}

/// The same, and the help shows the value that it has without the option.
template <class T>
CLI::Option* add_shown_number_option(CLI::App& command, const std::string& names, T& target,
                                     const std::string& description, NumberRange<T> range) {
  return add_number_option<T>(command, names, target, description, range)
      ->default_str(fmt::format("{}", target));
}

}  // namespace mixtral
