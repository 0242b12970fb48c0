#include "dialogue.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "io/json.h"
#include "token_ids.h"

namespace mixtral {
namespace {

Result<std::string> string_field(const Json& message, const char* key, const std::string& where) {
  const auto field = message.find(key);
  if (field == message.end()) return fail(ErrorCode::kBadInput, "{}: no \"{}\"", where, key);
  if (!field->is_string()) {
    return fail(ErrorCode::kBadInput, "{}: \"{}\" is {}, expected a string", where, key,
                field->type_name());
  }
  return field->get<std::string>();
}

Result<ChatMessage> parse_message(const Json& json, const std::string& where) {
  if (!json.is_object()) {
    return fail(ErrorCode::kBadInput, "{}: {}, expected an object", where, json.type_name());
  }
  ChatMessage message;
  MIXTRAL_TRY(message.role, string_field(json, "role", where));
  MIXTRAL_TRY(message.content, string_field(json, "content", where));
  const auto prefix = json.find("prefix");
  if (prefix == json.end()) return message;
  if (!prefix->is_boolean()) {
    return fail(ErrorCode::kBadInput, "{}: \"prefix\" is {}, expected true or false", where,
                prefix->type_name());
  }
  message.prefix = prefix->get<bool>();
  return message;
}

}  // namespace

CLI::Option* add_chat_template_option(CLI::App& command, std::string& name) {
  return command
      .add_option("--chat-template", name,
                  "mistral, chatml or llama-2 (default: what the checkpoint says)")
      ->check(CLI::IsMember(chat_format_names()))
      ->type_name("NAME");
}

Result<ChatTemplate> chat_template_of(const std::string& name, const Tokenizer& tokenizer) {
  MIXTRAL_TRY(const ChatFormat format,
              name.empty() ? detect_chat_format(tokenizer) : chat_format_from_name(name));
  return ChatTemplate(format, tokenizer);
}

Result<std::vector<ChatMessage>> read_messages(const std::string& path) {
  MIXTRAL_TRY(const std::string text, read_text(path));
  MIXTRAL_TRY(const Json json, parse_json(text, path));
  if (!json.is_array()) {
    return fail(ErrorCode::kBadInput, "{}: {}, expected a list of messages", path,
                json.type_name());
  }
  std::vector<ChatMessage> messages;
  for (const Json& item : json) {
    MIXTRAL_TRY(ChatMessage message,
                parse_message(item, fmt::format("{}: message {}", path, messages.size())));
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace mixtral
