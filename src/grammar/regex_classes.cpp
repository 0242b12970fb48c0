#include "grammar/regex_classes.h"

#include <optional>

#include "io/quoted.h"
#include "text/utf8.h"

namespace mixtral {
namespace {

// A class in two readings where engines differ: `surely` has what all of them count as members,
// `perhaps` what at least one does. A complement is that of `perhaps`.
struct ClassItem {
  CharacterSet surely, perhaps;
  std::optional<char32_t> single;  // a character that a range may begin or end with
};

ClassItem one_character(char32_t c) {
  const CharacterSet set{{c, c}};
  return {set, set, c};
}

ClassItem named_class(char letter) {
  static const CharacterSet digits{{'0', '9'}};
  static const CharacterSet word{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  static const CharacterSet space{{'\t', '\r'}, {' ', ' '}};
  static const CharacterSet any_space{{'\t', '\r'},     {0x1C, ' '},      {0x85, 0x85},
                                      {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                                      {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                      {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  switch (letter) {
    case 'd': return {digits, digits, {}};
    case 'D': return {digits.complement(), digits.complement(), {}};
    case 'w': return {word, word, {}};
    case 'W': return {word.complement(), word.complement(), {}};
    case 's': return {space, any_space, {}};
    default: return {any_space.complement(), space.complement(), {}};
  }
}

Result<char32_t> hexadecimal(PatternReader& reader, size_t n_digits) {
  const std::string_view digits = reader.rest().substr(0, n_digits);
  uint32_t value = 0;
  for (const char c : digits) {
    const bool decimal = c >= '0' && c <= '9';
    const char lower = static_cast<char>(c | 0x20);
    if (!decimal && (lower < 'a' || lower > 'f')) return reader.bad("expected a hexadecimal digit");
    value = 16 * value + static_cast<uint32_t>(decimal ? c - '0' : lower - 'a' + 10);
  }
  if (digits.size() < n_digits) return reader.bad("the pattern ends inside an escape");
  reader.at += n_digits;
  return value;
}

Result<char32_t> checked_character(const PatternReader& reader, char32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return reader.bad("this is no character");
  return c;
}

Result<char32_t> unicode_escape(PatternReader& reader) {
  char32_t c = 0;
  if (reader.skip("{")) {
    const size_t n_digits = reader.rest().find('}');
    if (n_digits == std::string_view::npos || n_digits == 0 || n_digits > 6) {
      return reader.bad("expected one to six hexadecimal digits and '}'");
    }
    MIXTRAL_TRY(c, hexadecimal(reader, n_digits));
    ++reader.at;
  } else {
    MIXTRAL_TRY(c, hexadecimal(reader, 4));
    if (c >= 0xD800 && c <= 0xDBFF && reader.skip("\\u")) {
      MIXTRAL_TRY(const char32_t low, hexadecimal(reader, 4));
      if (low < 0xDC00 || low > 0xDFFF) return reader.bad("half of a surrogate pair");
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
  }
  return checked_character(reader, c);
}

// Behind a backslash.
Result<ClassItem> read_escape(PatternReader& reader, bool in_class) {
  if (reader.done()) return reader.bad("the pattern ends with a backslash");
  const char c = reader.peek();
  if (std::string_view("dDwWsS").find(c) != std::string_view::npos) {
    ++reader.at;
    return named_class(c);
  }
  if ((c >= '1' && c <= '9') || c == 'k') return reader.unsupported("back references");
  if (c == 'p' || c == 'P') return reader.unsupported("classes of Unicode properties");
  if ((c == 'b' && !in_class) || c == 'B') return reader.unsupported("borders of words");
  ++reader.at;
  char32_t value = 0;
  switch (c) {
    case 't': return one_character('\t');
    case 'n': return one_character('\n');
    case 'r': return one_character('\r');
    case 'f': return one_character('\f');
    case 'v': return one_character('\v');
    case 'b': return one_character('\b');
    case '0': return one_character('\0');
    case 'x': {
      MIXTRAL_TRY(value, hexadecimal(reader, 2));
      return one_character(value);
    }
    case 'u': {
      MIXTRAL_TRY(value, unicode_escape(reader));
      return one_character(value);
    }
    case 'U': {
      MIXTRAL_TRY(value, hexadecimal(reader, 8));
      MIXTRAL_TRY(value, checked_character(reader, value));
      return one_character(value);
    }
    default: break;
  }
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
  --reader.at;
  if (letter) return reader.unsupported("this escape");
  ++reader.at;
  return one_character(static_cast<unsigned char>(c));
}

Result<ClassItem> item(PatternReader& reader, bool in_class) {
  if (reader.skip("\\")) return read_escape(reader, in_class);
  const Utf8Character first = first_utf8_character(reader.rest());
  if (first.kind != Utf8Character::Kind::kValid) return reader.bad("not UTF-8");
  reader.at += first.size;
  return one_character(first.code_point);
}

// Behind the opening bracket.
Result<CharacterSet> bracket(PatternReader& reader) {
  const bool negated = reader.skip("^");
  CharacterSet surely, perhaps;
  while (!reader.skip("]")) {
    if (reader.done()) return reader.bad("a class is not closed");
    MIXTRAL_TRY(const ClassItem from, item(reader, true));
    const bool range = reader.rest().starts_with("-") && !reader.rest().starts_with("-]");
    if (!range) {
      surely.add(from.surely);
      perhaps.add(from.perhaps);
      continue;
    }
    ++reader.at;
    if (reader.done()) return reader.bad("a class is not closed");
    MIXTRAL_TRY(const ClassItem to, item(reader, true));
    if (!from.single || !to.single) return reader.bad("a range needs a character at each end");
    if (*from.single > *to.single) return reader.bad("the range's end comes before its beginning");
    surely.add(*from.single, *to.single);
    perhaps.add(*from.single, *to.single);
  }
  return negated ? perhaps.complement() : surely;
}

}  // namespace

Result<char32_t> read_character(PatternReader& reader) {
  MIXTRAL_TRY(const ClassItem one, item(reader, true));
  if (!one.single) return reader.bad("a class cannot stand here");
  return *one.single;
}

Result<CharacterSet> read_characters(PatternReader& reader) {
  if (reader.skip("[")) return bracket(reader);
  if (reader.skip(".")) {
    return CharacterSet{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}.complement();
  }
  if (reader.peek() == ']' || reader.peek() == '}') {
    return reader.bad(fmt::format("'{}' must be escaped here", reader.peek()));
  }
  MIXTRAL_TRY(const ClassItem one, item(reader, false));
  return one.surely;
}

}  // namespace mixtral
