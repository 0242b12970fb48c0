// Characters, escapes and classes of regular expressions: "a", ".", "\d", "[^a-z]".
#pragma once

#include <string_view>

#include "core/result.h"
#include "grammar/character_set.h"

namespace mixtral {

/// A place in a pattern.
struct PatternReader {
  std::string_view text;
  size_t at = 0;

  bool done() const { return at >= text.size(); }
  char peek() const { return text[at]; }
  std::string_view rest() const { return text.substr(at); }
  /// Moves on if `expected` stands here.
  bool skip(std::string_view expected) {
    if (!rest().starts_with(expected)) return false;
    at += expected.size();
    return true;
  }
  tl::unexpected<Error> bad(std::string_view what) const {
    return fail(ErrorCode::kBadInput, "offset {}: {}", at, what);
  }
  tl::unexpected<Error> unsupported(std::string_view what) const {
    return fail(ErrorCode::kUnsupported, "offset {}: not supported: {}", at, what);
  }
};

/// Reads one character, perhaps escaped, and moves behind it.
Result<char32_t> read_character(PatternReader& reader);
/// Reads what stands for one of several characters, or for a single one, and moves behind it.
Result<CharacterSet> read_characters(PatternReader& reader);

}  // namespace mixtral
