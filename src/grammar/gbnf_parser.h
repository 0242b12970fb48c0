// Grammars in GBNF, the notation of llama.cpp.
#pragma once

#include <string_view>

#include "core/result.h"
#include "grammar/grammar_rules.h"

namespace mixtral {

/// The node of rule `root`. docs/grammar.md lists the syntax. Fails with kBadInput, kUnsupported or
/// kTooLarge; messages name line and column.
Result<NodeId> parse_gbnf(std::string_view text, GrammarRules& rules);

}  // namespace mixtral
