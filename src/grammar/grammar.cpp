#include "grammar/grammar.h"

#include "grammar/gbnf_parser.h"
#include "grammar/json_rules.h"
#include "grammar/json_schema.h"
#include "grammar/regex_parser.h"

namespace mixtral {
namespace {

constexpr size_t kMaxChoiceBytes = 1 << 20;

}  // namespace

Result<Grammar::Pointer> Grammar::finished(GrammarRules rules, NodeId root, std::string key) {
  MIXTRAL_TRY(rules.finish(root));
  return Pointer(new Grammar(std::move(rules), std::move(key)));
}

Result<Grammar::Pointer> Grammar::json_object() {
  GrammarRules rules;
  const NodeId root = JsonRules(rules).any_object();
  return finished(std::move(rules), root, "json_object");
}

Result<Grammar::Pointer> Grammar::json_schema(std::string_view schema) {
  GrammarRules rules;
  MIXTRAL_TRY(const NodeId root, parse_json_schema(schema, rules));
  return finished(std::move(rules), root, fmt::format("json_schema {}", schema));
}

Result<Grammar::Pointer> Grammar::regex(std::string_view pattern) {
  GrammarRules rules;
  MIXTRAL_TRY(const RegexMatch match,
              parse_regex(pattern, RegexPlace::kWholeText, TextForm::kPlain, rules));
  return finished(std::move(rules), match.node, fmt::format("regex {}", pattern));
}

Result<Grammar::Pointer> Grammar::choice(std::span<const std::string> texts) {
  std::string key = "choice";
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) return fail(ErrorCode::kBadInput, "choice {} is empty", i);
    key += fmt::format(" {} {}", texts[i].size(), texts[i]);
    if (key.size() > kMaxChoiceBytes) {
      return fail(ErrorCode::kTooLarge, "choices of more than {} bytes", kMaxChoiceBytes);
    }
  }
  if (texts.empty()) return fail(ErrorCode::kBadInput, "there is no choice");
  GrammarRules rules;
  const NodeId root = rules.one_of({texts.begin(), texts.end()});
  return finished(std::move(rules), root, std::move(key));
}

Result<Grammar::Pointer> Grammar::gbnf(std::string_view text) {
  GrammarRules rules;
  MIXTRAL_TRY(const NodeId root, parse_gbnf(text, rules));
  return finished(std::move(rules), root, fmt::format("gbnf {}", text));
}

Result<Grammar::Pointer> Grammar::tool_calls(const ToolCallForm& form) {
  GrammarRules rules;
  MIXTRAL_TRY(const NodeId root, tool_call_rules(form, rules));
  std::string key = fmt::format("tool_calls {} {} {} {}", form.max_calls, form.or_text,
                                form.marker.size(), form.marker);
  for (const auto& [name, parameters] : form.functions)
    key += fmt::format(" {} {} {} {}", name.size(), name, parameters.size(), parameters);
  return finished(std::move(rules), root, std::move(key));
}

}  // namespace mixtral
