// JSON Schemas as grammars: what the clients' .parse helpers send, and more.
#pragma once

#include <string_view>

#include "core/result.h"
#include "grammar/grammar_rules.h"

namespace mixtral {

/// The root's node. docs/grammar.md lists the keywords. Every text of the grammar is valid by the
/// schema; not every valid text is in the grammar. Fails with kBadInput, kUnsupported or kTooLarge;
/// messages name the JSON pointer of the keyword.
Result<NodeId> parse_json_schema(std::string_view text, GrammarRules& rules);

}  // namespace mixtral
