// The shape of dialogues: which are allowed, and how roles merge into turns.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "text/chat_template.h"

namespace mixtral {

/// What every format demands; see ChatTemplate::render. `system_anywhere`: also after the
/// assistant.
Status check_dialogue(std::span<const ChatMessage> messages, bool system_anywhere);

/// A dialogue for formats without a system role, as mistral-common arranges it: system texts joined
/// by a blank line, messages of one role in a row joined the same way, a user's turn first.
struct Dialogue {
  std::string system;
  std::vector<ChatMessage> turns;
};
Dialogue arrange_dialogue(std::span<const ChatMessage> messages);

/// The system turn that a Jinja template of ChatML holds as a literal, "" if none.
std::string literal_system_turn(std::string_view jinja);

/// Without white space at both ends, as Python's str.strip() does.
std::string_view strip_white_space(std::string_view text);

}  // namespace mixtral
