#include "server/tool_calls.h"

#include <algorithm>
#include <array>
#include <utility>

#include "grammar/grammar.h"
#include "server/random_id.h"

namespace mixtral {
namespace {

constexpr size_t kMaxTools = 128;
constexpr uint32_t kMaxCalls = 16;
constexpr size_t kIdSize = 9;  // Mistral's rule; others take any

// The schema, made to say what its authors mean: arguments are an object, and one without
// properties if none are mentioned.
Json object_schema(const Json* given) {
  Json schema = given == nullptr ? Json::object() : *given;
  for (const char* keyword : {"$ref", "anyOf", "oneOf", "allOf"}) {
    if (schema.contains(keyword)) return schema;
  }
  schema.emplace("type", "object");
  constexpr std::array<std::string_view, 5> kSayNothing = {"type", "properties", "title",
                                                           "description", "$schema"};
  for (const auto& [key, value] : schema.items()) {
    const bool says_nothing =
        std::find(kSayNothing.begin(), kSayNothing.end(), key) != kSayNothing.end();
    if (!says_nothing || (key == "properties" && !value.empty())) return schema;
  }
  schema["additionalProperties"] = false;
  return schema;
}

Tool read_tool(const Json& json, size_t index, Fields& fields) {
  Fields outer(json, fmt::format("tools[{}]", index));
  Tool tool;
  if (!json.is_object()) {
    fields.refuse("tools", "tools[{}] is {}, expected an object", index, kind_of(json));
    return tool;
  }
  outer.choice("type", {"function"});
  const Json* function = outer.object("function");
  if (function == nullptr) {
    outer.refuse("function", "{}: missing", outer.name_of("function"));
    fields.refuse(outer.status().error());
    return tool;
  }
  Fields inner(*function, outer.name_of("function"));
  tool.name = inner.text("name").value_or("");
  if (!is_client_name(tool.name))
    inner.refuse("name", "{}: expected 1 to 64 of a-z A-Z 0-9 _ -", inner.name_of("name"));
  tool.description = inner.text("description").value_or("");
  inner.boolean("strict", false);
  tool.parameters = object_schema(inner.object("parameters"));
  const auto type = tool.parameters.find("type");
  if (type != tool.parameters.end() && *type != "object")
    inner.refuse("parameters", "{}: the schema's type must be object", inner.name_of("parameters"));
  if (inner.good()) {
    const auto grammar = Grammar::json_schema(tool.parameters.dump());
    if (!grammar)
      inner.refuse("parameters", "{}: {}", inner.name_of("parameters"), grammar.error().message);
  }
  for (const Fields* part : {&outer, &inner}) {
    if (!part->good()) fields.refuse(part->status().error());
  }
  return tool;
}

std::vector<Tool> read_tools(Fields& fields, const Json& list) {
  std::vector<Tool> tools;
  if (list.size() > kMaxTools) {
    fields.refuse("tools", "tools: {} of them, at most {}", list.size(), kMaxTools);
    return tools;
  }
  for (size_t i = 0; i < list.size() && fields.good(); ++i) {
    Tool tool = read_tool(list[i], i, fields);
    const auto same = [&](const Tool& other) { return other.name == tool.name; };
    if (std::any_of(tools.begin(), tools.end(), same))
      fields.refuse("tools", "tools[{}]: there is another {}", i, tool.name);
    tools.push_back(std::move(tool));
  }
  return tools;
}

// {"type": "function", "function": {"name"}}: the one tool to call.
void choose_named(Fields& fields, const Json& choice, ToolUse& use) {
  Fields outer(choice, "tool_choice");
  outer.choice("type", {"function"});
  const Json* function = outer.object("function");
  const Json empty = Json::object();
  Fields inner(function == nullptr ? empty : *function, "tool_choice.function");
  const std::string name = inner.text("name").value_or("");
  for (const Fields* part : {&outer, &inner}) {
    if (!part->good()) return fields.refuse(part->status().error());
  }
  const auto is_other = [&](const Tool& tool) { return tool.name != name; };
  std::erase_if(use.tools, is_other);
  if (use.tools.empty())
    return fields.refuse("tool_choice", "tool_choice: there is no tool \"{}\"", name.substr(0, 64));
  use.required = true;
  use.max_calls = 1;
}

// OpenAI's clients send arguments as a text, Mistral's as a text or an object.
ToolCall read_call(Fields& function) {
  const std::string name = function.text("name").value_or("");
  if (!is_client_name(name))
    function.refuse("name", "{}: expected a function's name", function.name_of("name"));
  const Json* arguments = function.find("arguments");
  if (arguments == nullptr) return {name, "{}"};
  const auto parsed = arguments->is_string() ? parse_json(arguments->get_ref<const std::string&>(),
                                                          function.name_of("arguments"))
                                             : Result<Json>(*arguments);
  if (!parsed || !parsed->is_object()) {
    function.refuse("arguments", "{}: expected a JSON object as text",
                    function.name_of("arguments"));
    return {};
  }
  return {name, json_text(*parsed)};
}

void refuse_tools(Fields& fields, const Json* tools, const Json* choice) {
  const bool none = choice != nullptr && *choice == "none";
  if (tools != nullptr && !tools->empty() && !none) fields.refuse(tools_not_supported("tools"));
}

// What came before "tools", whose clients want answers of another form.
void refuse_functions(Fields& fields, const ApiOptions& options) {
  const Json* functions = fields.array("functions");
  const Json* choice = fields.find("function_call");
  if (choice != nullptr && *choice == "none") return;
  if (functions != nullptr && !functions->empty()) {
    if (!options.tool_emulation) return fields.refuse(tools_not_supported("functions"));
    fields.refuse("functions", "functions: long replaced by tools, which are supported");
  } else if (choice != nullptr && *choice != "auto") {
    fields.refuse("function_call", "function_call: there are no functions to choose from");
  }
}

}  // namespace

ApiError tools_not_supported(std::string_view param) {
  ApiError error = bad_request(
      param, "{}: this model was not trained to call tools (see --tool-emulation)", param);
  error.code = "tools_not_supported";
  return error;
}

ToolUse read_tool_use(Fields& fields, const ApiOptions& options) {
  const Json* tools = fields.array("tools");
  const Json* choice = fields.find("tool_choice");
  const bool parallel = fields.boolean("parallel_tool_calls", true);
  refuse_functions(fields, options);
  if (tools == nullptr && choice != nullptr && *choice != "none" && *choice != "auto")
    fields.refuse("tool_choice", "tool_choice: there are no tools to choose from");
  ToolUse use;
  if (!options.tool_emulation) {
    refuse_tools(fields, tools, choice);
    return use;
  }
  if (tools == nullptr) return use;
  use.tools = read_tools(fields, *tools);
  use.max_calls = parallel ? kMaxCalls : 1;
  if (choice == nullptr || *choice == "auto" || !fields.good()) return use;
  if (choice->is_object()) {
    choose_named(fields, *choice, use);
  } else if (*choice == "none") {
    use.tools.clear();
  } else if (*choice == "required" || *choice == "any") {
    use.required = true;
  } else {
    fields.refuse("tool_choice",
                  "tool_choice: expected none, auto, required, any or {{\"type\": \"function\", "
                  "\"function\": {{\"name\": …}}}}");
  }
  return use;
}

std::vector<GivenCall> read_given_calls(Fields& message) {
  std::vector<GivenCall> calls;
  const Json* list = message.array("tool_calls");
  for (size_t i = 0; list != nullptr && i < list->size() && message.good(); ++i) {
    Fields outer((*list)[i], fmt::format("{}[{}]", message.name_of("tool_calls"), i));
    GivenCall given;
    given.id = outer.text("id").value_or("");
    outer.choice("type", {"function"});
    const Json* function = outer.object("function");
    if (function == nullptr) {
      outer.refuse("function", "{}: missing", outer.name_of("function"));
    } else {
      Fields inner(*function, outer.name_of("function"));
      given.call = read_call(inner);
      if (!inner.good()) outer.refuse(inner.status().error());
    }
    if (!outer.good()) message.refuse(outer.status().error());
    calls.push_back(std::move(given));
  }
  return calls;
}

std::string describe_tools(const ToolUse& use) {
  std::string text = "You can call these functions:\n";
  for (const Tool& tool : use.tools) {
    text += fmt::format("\n{}{}{}\nArguments, as a JSON Schema: {}\n", tool.name,
                        tool.description.empty() ? "" : ": ", tool.description,
                        json_text(tool.parameters));
  }
  const std::string example = fmt::format("{} [{{\"name\": \"{}\", \"arguments\": {{…}}}}]",
                                          kToolMarker, use.tools.front().name);
  text += use.required
              ? fmt::format("\nAnswer with a call and nothing else, in this form: {}", example)
              : fmt::format(
                    "\nTo call one, answer with nothing but the call, in this "
                    "form: {}\nIf no function is needed, answer with text.",
                    example);
  if (use.max_calls > 1) text += "\nThe list may hold several calls.";
  return text;
}

void require_tool_form(Fields& fields, const ToolUse& use, Request& request) {
  if (use.tools.empty()) return;
  if (request.grammar != nullptr)
    return fields.refuse("tools", "tools: another field says already what the answer must be");
  ToolCallForm form;
  form.marker = kToolMarker;
  form.max_calls = use.max_calls;
  form.or_text = !use.required;
  for (const Tool& tool : use.tools) form.functions.push_back({tool.name, tool.parameters.dump()});
  auto grammar = Grammar::tool_calls(form);
  if (!grammar) return fields.refuse("tools", "tools: {}", grammar.error().message);
  request.grammar = *std::move(grammar);
}

std::string tool_calls_text(std::span<const ToolCall> calls) {
  std::string list;
  for (const ToolCall& call : calls) {
    list += fmt::format("{}{{\"name\": \"{}\", \"arguments\": {}}}", list.empty() ? "" : ", ",
                        call.name, call.arguments);
  }
  return fmt::format("{} [{}]", kToolMarker, list);
}

std::optional<std::vector<ToolCall>> parse_tool_calls(std::string_view text) {
  if (!text.starts_with(kToolMarker)) return std::nullopt;
  const auto list = parse_json(text.substr(kToolMarker.size()), "tool calls");
  if (!list || !list->is_array()) return std::nullopt;
  std::vector<ToolCall> calls;
  for (const Json& one : *list) {
    if (!one.is_object() || !one.contains("name") || !one["name"].is_string() ||
        !one.contains("arguments"))
      return std::nullopt;
    calls.push_back({one["name"].get<std::string>(), json_text(one["arguments"])});
  }
  return calls;
}

Json tool_calls_json(std::span<const ToolCall> calls) {
  Json list = Json::array();
  for (const ToolCall& call : calls) {
    list.push_back({{"id", random_id("", kIdSize)},
                    {"type", "function"},
                    {"index", list.size()},
                    {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return list;
}

}  // namespace mixtral
