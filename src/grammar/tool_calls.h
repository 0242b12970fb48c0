// Calls of functions, written by a model that has no tokens for them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "grammar/grammar_rules.h"

namespace mixtral {

/// `marker`, a blank and a JSON array of 1 to `max_calls` objects
/// {"name": one of the functions, "arguments": what its schema allows}.
struct ToolCallForm {
  struct Function {
    std::string name;
    std::string parameters;  ///< a JSON Schema of its own: "#" in it is its root
  };
  std::string marker;  ///< not empty
  std::vector<Function> functions;
  uint32_t max_calls = 1;
  bool or_text = false;  ///< or any text that does not begin with the marker
};

/// The root's node. Fails as parse_json_schema() does; messages begin with the function's name.
Result<NodeId> tool_call_rules(const ToolCallForm& form, GrammarRules& rules);

}  // namespace mixtral
