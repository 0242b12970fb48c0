#include "server/chat_messages.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace mixtral {
namespace {

// Given by Mistral's documentation, word for word: the system text that "safe_prompt" asks for.
constexpr const char* kGuard =
    "Always assist with care, respect, and truth. Respond with utmost utility yet securely. Avoid "
    "harmful, unethical, prejudiced, or negative content. Ensure replies promote fairness and "
    "positivity.";
constexpr size_t kMaxMessages = 16384;

// A string, or an array of parts that are all text.
std::string read_content(Fields& message, bool may_be_missing) {
  const Json* content = message.find("content");
  if (content == nullptr) {
    if (!may_be_missing)
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

// Reads a dialogue's messages in their order.
class MessageReader {
 public:
  MessageReader(Fields& fields, bool emulates_tools)
      : fields_(fields), emulates_tools_(emulates_tools) {}

  ChatMessage read(const Json& json, size_t index) {
    Fields message(json, fmt::format("messages[{}]", index));
    ChatMessage read;
    if (!json.is_object()) {
      fields_.refuse("messages", "messages[{}] is {}, expected an object", index, kind_of(json));
      return read;
    }
    read.role =
        message.choice("role", {"system", "developer", "user", "assistant", "tool", "function"})
            .value_or("");
    if (read.role.empty()) message.refuse("role", "{}: missing", message.name_of("role"));
    if (read.role == "developer") read.role = "system";
    if (read.role == "function" || (read.role == "tool" && !emulates_tools_))
      message.refuse(tools_not_supported(message.name_of("role")));
    const std::string calls = read_calls(message, read.role);
    read.content = read_content(message, read.role == "user" || !calls.empty());
    if (!calls.empty()) read.content += (read.content.empty() ? "" : "\n\n") + calls;
    if (read.role == "tool") become_result(message, read);
    read.prefix = message.boolean("prefix", false);
    if (!message.good()) fields_.refuse(message.status().error());
    return read;
  }

 private:
  // The message's calls, as the model would have written them.
  std::string read_calls(Fields& message, std::string_view role) {
    const Json* list = message.array("tool_calls");
    if (list == nullptr || list->empty()) return {};
    if (!emulates_tools_) {
      message.refuse(tools_not_supported(message.name_of("tool_calls")));
    } else if (role != "assistant") {
      message.refuse("tool_calls", "{}: only the assistant calls tools",
                     message.name_of("tool_calls"));
    }
    std::vector<ToolCall> calls;
    for (auto& [id, call] : read_given_calls(message)) {
      calls.push_back(call);
      if (!id.empty()) calls_.insert_or_assign(std::move(id), std::move(call));
    }
    return tool_calls_text(calls);
  }

  // The format has no role for results: they come from the user, who says what they are.
  void become_result(Fields& message, ChatMessage& read) {
    read.role = "user";
    const auto found = calls_.find(message.text("tool_call_id").value_or(""));
    if (found == calls_.end()) {
      return message.refuse("tool_call_id", "{}: no call before has this id",
                            message.name_of("tool_call_id"));
    }
    const ToolCall& call = found->second;
    read.content = fmt::format("Result of {}({}):\n{}", call.name, call.arguments, read.content);
  }

  Fields& fields_;
  bool emulates_tools_;
  std::unordered_map<std::string, ToolCall> calls_;  // by id
};

// Behind the system texts that the dialogue begins with: others may not follow the assistant's.
void add_tools_text(const ToolUse& tools, std::vector<ChatMessage>& messages) {
  const auto behind =
      std::find_if(messages.begin(), messages.end(),
                   [](const ChatMessage& message) { return message.role != "system"; });
  messages.insert(behind, {"system", describe_tools(tools)});
}

}  // namespace

ChatInput read_chat_input(Fields& fields, const ApiOptions& options) {
  ChatInput input;
  const bool guard = fields.boolean("safe_prompt", false) || fields.boolean("safe_mode", false);
  if (guard) input.messages.push_back({"system", kGuard});
  const Json* messages = fields.array("messages");
  if (messages == nullptr || messages->empty() || messages->size() > kMaxMessages) {
    fields.refuse("messages", "messages: expected 1 to {} of them", kMaxMessages);
    return input;
  }
  MessageReader reader(fields, options.tool_emulation);
  for (size_t i = 0; i < messages->size(); ++i)
    input.messages.push_back(reader.read((*messages)[i], i));
  input.tools = read_tool_use(fields, options);

  ChatMessage& last = input.messages.back();
  if (last.prefix) input.prefix = last.content;
  const bool go_on = fields.boolean("continue_final_message", false);
  const bool shows_beginning = fields.boolean("echo", false);
  if (fields.boolean("add_generation_prompt", false) && go_on) {
    fields.refuse("continue_final_message",
                  "continue_final_message and add_generation_prompt exclude each other");
  }
  if (go_on && last.role == "assistant") last.prefix = true;
  if (go_on && shows_beginning) input.prefix = last.content;
  if (input.tools.tools.empty() || !fields.good()) return input;
  if (last.prefix) fields.refuse("tools", "tools: an answer that has begun cannot call any");
  add_tools_text(input.tools, input.messages);
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
