#include "grammar/tool_calls.h"

#include <fmt/format.h>

#include "grammar/json_rules.h"
#include "grammar/json_schema.h"

namespace mixtral {
namespace {

ByteSet all_but(char excepted) {
  const auto byte = static_cast<uint8_t>(excepted);
  ByteSet set;
  for (int other = 0; other < 256; ++other) {
    if (other != byte) set.add(static_cast<uint8_t>(other));
  }
  return set;
}

// It ends or turns away before the marker is complete.
NodeId text_without_marker(std::string_view marker, GrammarRules& rules) {
  const NodeId anything = rules.repeat(rules.set(ByteSet::all()), 0, kUnbounded);
  NodeId text = rules.nothing();
  for (size_t i = marker.size(); i-- > 0;) {
    text = rules.alternatives({rules.empty(),
                               rules.sequence({rules.set(all_but(marker[i])), anything}),
                               rules.sequence({rules.literal(marker.substr(i, 1)), text})});
  }
  return text;
}

}  // namespace

Result<NodeId> tool_call_rules(const ToolCallForm& form, GrammarRules& rules) {
  JsonRules json(rules);
  std::vector<NodeId> calls;
  for (const ToolCallForm::Function& function : form.functions) {
    auto arguments = parse_json_schema(function.parameters, rules);
    if (!arguments)
      return fail(arguments.error().code, "{}: {}", function.name, arguments.error().message);
    calls.push_back(json.braced(
        rules.sequence({json.member(json.quoted("name"), json.quoted(function.name)), json.comma(),
                        json.member(json.quoted("arguments"), *arguments)})));
  }
  const NodeId list = json.bracketed(json.list(rules.alternatives(calls), 1, form.max_calls));
  const NodeId marked = rules.sequence({rules.literal(form.marker + " "), list});
  if (!form.or_text) return marked;
  return rules.alternatives({marked, text_without_marker(form.marker, rules)});
}

}  // namespace mixtral
