#include "io/quoted.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace mixtral {
namespace {

constexpr size_t kLongestShown = 120;

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7F;
}

}  // namespace

std::string in_quotes(std::string_view name) {
  std::string text = "\"";
  for (const char c : name.substr(0, kLongestShown)) {
    if (is_control(c)) {
      fmt::format_to(std::back_inserter(text), "\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      text += c;
    }
  }
  text += name.size() > kLongestShown ? "…\"" : "\"";
  return text;
}

bool is_printable(std::string_view name) {
  return std::none_of(name.begin(), name.end(), is_control);
}

}  // namespace mixtral
