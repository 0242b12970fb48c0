#include "text/chat_dialogue.h"

#include "text/unicode.h"
#include "text/utf8.h"

namespace mixtral {
namespace {

constexpr std::string_view kBlankLine = "\n\n";

void append_paragraph(std::string& text, std::string_view paragraph) {
  if (paragraph.empty()) return;
  if (!text.empty()) text += kBlankLine;
  text += paragraph;
}

bool is_python_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

bool holds_unescaped(std::string_view literal, char quote) {
  for (size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] == '\\') {
      ++i;
    } else if (literal[i] == quote) {
      return true;
    }
  }
  return false;
}

/// `\n` and the like of a Jinja string literal.
std::string unescape(std::string_view literal) {
  std::string text;
  for (size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] != '\\' || i + 1 == literal.size()) {
      text.push_back(literal[i]);
      continue;
    }
    ++i;
    text.push_back(literal[i] == 'n' ? '\n' : literal[i] == 't' ? '\t' : literal[i]);
  }
  return text;
}

}  // namespace

Status check_dialogue(std::span<const ChatMessage> messages, bool system_anywhere) {
  if (messages.empty()) return fail(ErrorCode::kBadInput, "messages: none, expected at least one");
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    const bool last = i + 1 == messages.size();
    const bool assistant = message.role == "assistant";
    if (!assistant && message.role != "user" && message.role != "system") {
      return fail(ErrorCode::kBadInput,
                  "messages[{}]: role \"{}\", expected system, user or assistant", i, message.role);
    }
    if (message.prefix && !(assistant && last)) {
      return fail(ErrorCode::kBadInput,
                  "messages[{}]: prefix is only for a last message of the assistant", i);
    }
    if (assistant && message.content.empty())
      return fail(ErrorCode::kBadInput, "messages[{}]: the assistant's content is empty", i);
    if (assistant && last && !message.prefix) {
      return fail(ErrorCode::kBadInput,
                  "messages[{}]: the last role is assistant, expected user or system, or prefix",
                  i);
    }
    if (!system_anywhere && i > 0 && message.role == "system" &&
        messages[i - 1].role == "assistant") {
      return fail(ErrorCode::kBadInput,
                  "messages[{}]: role system after assistant, expected user or assistant", i);
    }
  }
  if (!system_anywhere && messages.size() == 1 && messages[0].role == "assistant") {
    return fail(ErrorCode::kBadInput,
                "messages[0]: role assistant, expected the dialogue to start with user or system");
  }
  return {};
}

Dialogue arrange_dialogue(std::span<const ChatMessage> messages) {
  Dialogue dialogue;
  const ChatMessage* previous = nullptr;
  for (const ChatMessage& message : messages) {
    const bool same_turn = previous != nullptr && previous->role == message.role;
    previous = &message;
    if (message.role == "system") {
      append_paragraph(dialogue.system, message.content);
    } else if (same_turn) {
      append_paragraph(dialogue.turns.back().content, message.content);
      dialogue.turns.back().prefix |= message.prefix;
    } else {
      dialogue.turns.push_back(message);
    }
  }
  if (dialogue.turns.empty() || dialogue.turns.front().role != "user")
    dialogue.turns.insert(dialogue.turns.begin(), ChatMessage{"user", "", false});
  return dialogue;
}

std::string literal_system_turn(std::string_view jinja) {
  constexpr std::string_view kOpening = "<|im_start|>system";
  for (size_t at = jinja.find(kOpening); at != std::string_view::npos;
       at = jinja.find(kOpening, at + 1)) {
    const char before = at == 0 ? '\0' : jinja[at - 1];
    std::string_view rest = jinja.substr(at + kOpening.size());
    if (rest.starts_with("\\n")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with("\n")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    const size_t size = rest.find("<|im_end|>");
    if (size == std::string_view::npos) return {};
    rest = rest.substr(0, size);
    // Only a literal that nothing interrupts is a default; others put the dialogue's system text
    // in.
    const bool quoted = before == '\'' || before == '"';
    if (quoted && !holds_unescaped(rest, before)) return unescape(rest);
    const bool has_jinja =
        rest.find("{{") != std::string_view::npos || rest.find("{%") != std::string_view::npos;
    if (!quoted && !has_jinja) return std::string(rest);
  }
  return {};
}

std::string_view strip_white_space(std::string_view text) {
  while (!text.empty()) {
    const Utf8Character first = first_utf8_character(text);
    if (!is_python_space(first.code_point)) break;
    text.remove_prefix(first.size);
  }
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    if (!is_python_space(first_utf8_character(text.substr(begin)).code_point)) break;
    text = text.substr(0, begin);
  }
  return text;
}

}  // namespace mixtral
