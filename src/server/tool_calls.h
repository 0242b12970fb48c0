// Tools for a model that was not trained to call any: described in words, called in a form that a
// grammar enforces.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_context.h"
#include "server/fields.h"

namespace mixtral {

struct Tool {
  std::string name, description;
  Json parameters;  ///< the JSON Schema of an object
};

/// What the model may call; without tools it answers with text.
struct ToolUse {
  std::vector<Tool> tools;
  bool required = false;  ///< no text instead
  uint32_t max_calls = 1;
};

struct ToolCall {
  std::string name;
  std::string arguments;  ///< a JSON object as text
};

/// 400 with the code "tools_not_supported".
ApiError tools_not_supported(std::string_view param);

/// Reads "tools", "tool_choice" and "parallel_tool_calls"; what is wrong is noted in `fields`.
/// Tools that a request may not call, by "tool_choice", are left out.
ToolUse read_tool_use(Fields& fields, const ApiOptions& options);
/// The calls of an assistant's message, by id where they have one.
struct GivenCall {
  std::string id;
  ToolCall call;
};
std::vector<GivenCall> read_given_calls(Fields& message);

/// For the system's text.
std::string describe_tools(const ToolUse& use);
/// Sets the request's grammar; refuses other grammars in `fields`. Not without tools.
void require_tool_form(Fields& fields, const ToolUse& use, Request& request);

/// What every answer with calls begins with, and no other.
inline constexpr std::string_view kToolMarker = "[TOOL_CALLS]";
/// Calls as the model writes them.
std::string tool_calls_text(std::span<const ToolCall> calls);
/// The reverse; nullopt if that is not what `text` is, from begin to end.
std::optional<std::vector<ToolCall>> parse_tool_calls(std::string_view text);
/// As clients want them, with fresh ids.
Json tool_calls_json(std::span<const ToolCall> calls);

}  // namespace mixtral
