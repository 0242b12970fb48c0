#include "terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>

#include "text/utf8.h"

namespace mixtral {
namespace {

// `value` in the largest unit of which it is at least one; units are 1000 apart.
std::string in_units(uint64_t value, std::span<const std::string_view> units) {
  if (value < 1000) return fmt::format("{}{}", value, units[0]);
  auto scaled = static_cast<double>(value);
  size_t unit = 0;
  while (scaled >= 999.5 && unit + 1 < units.size()) {
    scaled /= 1000;
    ++unit;
  }
  const int decimals = scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", scaled, decimals, units[unit]);
}

}  // namespace

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

size_t terminal_columns(std::FILE* stream) {
  winsize size{};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

bool has_colour(std::FILE* stream) {
  const char* no_colour = std::getenv("NO_COLOR");
  return is_terminal(stream) && (no_colour == nullptr || *no_colour == '\0');
}

std::string dim(std::string_view text, std::FILE* stream) {
  return has_colour(stream) ? fmt::format("\033[2m{}\033[0m", text) : std::string(text);
}

std::string format_bytes(uint64_t bytes) {
  static constexpr std::array<std::string_view, 6> kUnits = {" B",  " kB", " MB",
                                                             " GB", " TB", " PB"};
  return in_units(bytes, kUnits);
}

std::string format_count(uint64_t count) {
  static constexpr std::array<std::string_view, 5> kUnits = {"", " thousand", " million",
                                                             " billion", " trillion"};
  return in_units(count, kUnits);
}

std::string counted(uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Character character = first_utf8_character(text);
    const std::string_view bytes = text.substr(0, character.size);
    if (bytes == "\n") {
      out += "\\n";
    } else if (character.kind == Utf8Character::Kind::kValid && character.code_point >= 0x20 &&
               character.code_point != 0x7F) {
      out += bytes;
    } else {
      for (const char byte : bytes) {
        out += fmt::format("\\x{:02X}", static_cast<unsigned char>(byte));
      }
    }
    text.remove_prefix(character.size);
  }
  return out;
}

size_t display_columns(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;  // not a continuation byte
  }));
}

void write_out(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace mixtral
