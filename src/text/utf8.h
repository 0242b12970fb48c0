// UTF-8, one character at a time, over bytes that may be broken.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mixtral {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;
inline constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

/// What stands at the start of a byte sequence.
struct Utf8Character {
  enum class Kind {
    kValid,       ///< `code_point` in `size` bytes
    kBroken,      ///< `size` bytes that no continuation can mend: the longest part that begins as a
                  ///< character does, at least 1
    kIncomplete,  ///< all the bytes there are, `size` of them, begin a character
  };
  Kind kind;
  char32_t code_point;  ///< kReplacementCharacter unless kValid
  size_t size;
};

/// `bytes` must not be empty. Overlong forms, surrogates and values above U+10FFFF are broken.
Utf8Character first_utf8_character(std::string_view bytes);

/// `code_point` must be a Unicode scalar value.
void append_utf8(char32_t code_point, std::string& out);

}  // namespace mixtral
