// The properties of characters that tokenizers ask for.
#pragma once

#include <cstddef>
#include <span>

namespace mixtral {

/// General category L (Lu, Ll, Lt, Lm, Lo).
bool is_letter(char32_t c);
/// General category N (Nd, Nl, No).
bool is_number(char32_t c);
/// The property White_Space, \s of regular expressions.
bool is_white_space(char32_t c);

/// First and last character of a range.
struct CodePointRange {
  char32_t first, last;
};
/// Sorted, without overlap; tools/make_unicode_tables.py writes them.
extern const std::span<const CodePointRange> kLetterRanges;
extern const std::span<const CodePointRange> kNumberRanges;

}  // namespace mixtral
