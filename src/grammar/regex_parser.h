// Regular expressions, in the syntax that ECMAScript and JSON Schema share.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/result.h"
#include "grammar/character_set.h"

namespace mixtral {

/// A part of a grammar, with the least and the largest number of characters it matches.
struct CharacterCount {
  uint32_t min = 0, max = 0;  ///< kUnbounded
};
struct RegexMatch {
  NodeId node;
  CharacterCount length;
};

enum class RegexPlace {
  kWholeText,  ///< the text is what the pattern matches, with or without ^ and $
  kSomewhere,  ///< something in the text matches, as JSON Schema has it
};

/// docs/grammar.md lists the syntax. Fails with kBadInput on what is no pattern, kUnsupported on
/// look-around, back references, \b and anchors inside, kTooLarge on deep nesting; messages name
/// the offset in bytes.
Result<RegexMatch> parse_regex(std::string_view pattern, RegexPlace place, TextForm form,
                               GrammarRules& rules);

}  // namespace mixtral
