// The parts of JSON texts, from which json_object and json_schema are put together.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "grammar/grammar_rules.h"

namespace mixtral {

/// Adds its parts to `rules`, which must outlive it. White space stands after '{', '[', ',' and ':'
/// and before '}' and ']': one blank, or one line break with up to kMaxIndentation blanks.
class JsonRules {
 public:
  static constexpr uint32_t kMaxIndentation = 32;
  static constexpr uint32_t kMaxIntegerDigits = 15, kMaxFractionDigits = 16;

  explicit JsonRules(GrammarRules& rules);

  /// Any value, of any depth.
  NodeId value() const { return value_; }
  NodeId any_object() const { return any_object_; }
  NodeId any_array() const { return any_array_; }
  /// Of `min` to `max` characters (code points; kUnbounded), each raw or escaped.
  NodeId string(uint32_t min, uint32_t max);
  /// At most kMaxIntegerDigits digits, without fraction and exponent.
  NodeId integer();
  NodeId number();
  NodeId boolean();
  NodeId null();
  /// A string of this text in its one shortest spelling, with quotation marks. `text` is UTF-8.
  NodeId quoted(std::string_view text);
  /// '"' inside '"'
  NodeId quoted_node(NodeId inside);
  /// Between '{' and '}' or '[' and ']', with white space at both ends.
  NodeId braced(NodeId inside);
  NodeId bracketed(NodeId inside);
  /// "key": value
  NodeId member(NodeId key, NodeId value);
  /// A comma and white space.
  NodeId comma() const { return comma_; }
  /// `item` `min` to `max` times, with commas between.
  NodeId list(NodeId item, uint32_t min, uint32_t max);
  /// A string with quotation marks that is none of `names`, in shortest spelling.
  NodeId key_except(std::span<const std::string> names);

 private:
  NodeId string_character();

  GrammarRules& rules_;
  NodeId white_space_, comma_, colon_, value_, any_object_, any_array_;
};

}  // namespace mixtral
