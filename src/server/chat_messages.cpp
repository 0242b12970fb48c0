#include "server/chat_messages.h"

#include <utility>

namespace mixtral {
namespace {

// Given by Mistral's documentation, word for word: the system text that "safe_prompt" asks for.
constexpr const char* kGuard =
    "Always assist with care, respect, and truth. Respond with utmost utility yet securely. Avoid "
    "harmful, unethical, prejudiced, or negative content. Ensure replies promote fairness and "
    "positivity.";
constexpr size_t kMaxMessages = 16384;

ApiError tools_not_supported(std::string_view param) {
  ApiError error = bad_request(param, "{}: this model was not trained to call tools", param);
  error.code = "tools_not_supported";
  return error;
}

// A string, or an array of parts that are all text.
std::string read_content(Fields& message, std::string_view role) {
  const Json* content = message.find("content");
  if (content == nullptr) {
    if (role != "user")
      message.refuse("content", "{}: missing or null", message.name_of("content"));
    return {};
  }
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) {
    message.refuse("content", "{} is {}, expected a string or parts of text",
                   message.name_of("content"), kind_of(*content));
    return {};
  }
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    Fields part((*content)[i], fmt::format("{}[{}]", message.name_of("content"), i));
    const std::string type = part.text("type").value_or("text");
    const auto words = part.text("text");
    if (!part.good()) {
      message.refuse(part.status().error());
    } else if (type != "text" || !words) {
      message.refuse("content", "{}: a part of type {}, expected {{\"type\": \"text\", …}}",
                     part.name_of(""), type);
    } else {
      if (!text.empty() && !words->empty()) text += "\n\n";
      text += *words;
    }
  }
  return text;
}

ChatMessage read_message(const Json& json, size_t index, Fields& fields) {
  Fields message(json, fmt::format("messages[{}]", index));
  ChatMessage read;
  if (!json.is_object()) {
    fields.refuse("messages", "messages[{}] is {}, expected an object", index, kind_of(json));
    return read;
  }
  read.role =
      message.choice("role", {"system", "developer", "user", "assistant", "tool", "function"})
          .value_or("");
  if (read.role.empty()) message.refuse("role", "{}: missing", message.name_of("role"));
  if (read.role == "developer") read.role = "system";
  if (read.role == "tool" || read.role == "function")
    message.refuse(tools_not_supported(message.name_of("role")));
  const Json* calls = message.array("tool_calls");
  if (calls != nullptr && !calls->empty())
    message.refuse(tools_not_supported(message.name_of("tool_calls")));
  read.content = read_content(message, read.role);
  read.prefix = message.boolean("prefix", false);
  if (!message.good()) fields.refuse(message.status().error());
  return read;
}

void read_tools(Fields& fields) {
  const Json* tools = fields.array("tools");
  const Json* functions = fields.array("functions");
  const Json* choice = fields.find("tool_choice");
  fields.ignore({"function_call"});
  const bool none = choice != nullptr && *choice == "none";
  if (functions != nullptr && !functions->empty()) fields.refuse(tools_not_supported("functions"));
  if (tools != nullptr && !tools->empty() && !none) fields.refuse(tools_not_supported("tools"));
  if (tools == nullptr && choice != nullptr && !none && *choice != "auto")
    fields.refuse("tool_choice", "tool_choice: there are no tools to choose from");
}

}  // namespace

ChatInput read_chat_input(Fields& fields) {
  ChatInput input;
  const bool guard = fields.boolean("safe_prompt", false) || fields.boolean("safe_mode", false);
  if (guard) input.messages.push_back({"system", kGuard});
  const Json* messages = fields.array("messages");
  if (messages == nullptr || messages->empty() || messages->size() > kMaxMessages) {
    fields.refuse("messages", "messages: expected 1 to {} of them", kMaxMessages);
    return input;
  }
  for (size_t i = 0; i < messages->size(); ++i)
    input.messages.push_back(read_message((*messages)[i], i, fields));
  read_tools(fields);

  ChatMessage& last = input.messages.back();
  if (last.prefix) input.prefix = last.content;
  const bool go_on = fields.boolean("continue_final_message", false);
  if (go_on && fields.boolean("add_generation_prompt", false)) {
    fields.refuse("continue_final_message",
                  "continue_final_message and add_generation_prompt exclude each other");
  }
  if (go_on && last.role == "assistant") last.prefix = true;
  if (go_on && fields.boolean("echo", false)) input.prefix = last.content;
  return input;
}

ApiResult<RenderedChat> render_chat(const ApiContext& context, const ChatInput& input) {
  const ServedModel& model = context.model;
  if (!model.chat_template)
    return tl::unexpected(
        bad_request("messages", "no chat with this model: {}", model.why_no_chat));
  auto chat = model.chat_template->render(input.messages);
  if (!chat) return tl::unexpected(bad_request("messages", "{}", chat.error().message));
  return *std::move(chat);
}

}  // namespace mixtral
