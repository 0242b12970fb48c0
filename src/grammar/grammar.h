// What an answer may look like.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "grammar/grammar_rules.h"
#include "grammar/tool_calls.h"

namespace mixtral {

/// A compiled grammar. Immutable, thread-safe, shared by all requests with the same source. The
/// makers fail with kBadInput, kUnsupported or kTooLarge and name the place: a JSON pointer, line
/// and column, or an offset in bytes. docs/grammar.md lists what is supported.
class Grammar {
 public:
  using Pointer = std::shared_ptr<const Grammar>;

  /// One JSON object with anything in it.
  static Result<Pointer> json_object();
  static Result<Pointer> json_schema(std::string_view schema);
  /// A text that the pattern matches as a whole.
  static Result<Pointer> regex(std::string_view pattern);
  /// One of the texts, none of which may be empty.
  static Result<Pointer> choice(std::span<const std::string> texts);
  /// llama.cpp's notation; the rule `root`.
  static Result<Pointer> gbnf(std::string_view text);
  /// Calls of functions, or text.
  static Result<Pointer> tool_calls(const ToolCallForm& form);

  const GrammarRules& rules() const { return rules_; }
  /// Two grammars with the same key are the same.
  const std::string& key() const { return key_; }

 private:
  Grammar(GrammarRules rules, std::string key) : rules_(std::move(rules)), key_(std::move(key)) {}
  static Result<Pointer> finished(GrammarRules rules, NodeId root, std::string key);

  GrammarRules rules_;
  std::string key_;
};

}  // namespace mixtral
