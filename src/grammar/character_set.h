// Sets of characters, and how one of them is written in bytes.
#pragma once

#include <span>
#include <vector>

#include "grammar/grammar_rules.h"
#include "text/unicode.h"

namespace mixtral {

/// Of Unicode scalar values: surrogates are never members.
class CharacterSet {
 public:
  CharacterSet() = default;
  CharacterSet(std::initializer_list<CodePointRange> ranges);
  static CharacterSet all();

  /// Nothing if `first` > `last`.
  void add(char32_t first, char32_t last);
  void add(const CharacterSet& other);
  CharacterSet complement() const;
  CharacterSet without(const CharacterSet& other) const;
  bool contains(char32_t c) const;
  bool empty() const { return ranges_.empty(); }
  /// Sorted, apart from each other.
  std::span<const CodePointRange> ranges() const { return ranges_; }

 private:
  std::vector<CodePointRange> ranges_;
};

enum class TextForm {
  kPlain,       ///< UTF-8
  kJsonString,  ///< the one shortest spelling between a JSON string's quotation marks
};

/// One character of the set.
NodeId character(const CharacterSet& set, TextForm form, GrammarRules& rules);

/// The characters that a JSON string shows only by an escape: ", \ and control characters.
const CharacterSet& escaped_in_json();

}  // namespace mixtral
