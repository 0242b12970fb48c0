// Dialogues on the command line and in files, and the template that turns them into ids.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "text/chat_template.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace mixtral {

CLI::Option* add_chat_template_option(CLI::App& command, std::string& name);

/// The format of that name; with an empty name the one that the checkpoint's metadata tells.
Result<ChatTemplate> chat_template_of(const std::string& name, const Tokenizer& tokenizer);

/// A JSON file with a list of {"role", "content", "prefix" (optional)}; "-" is standard input.
Result<std::vector<ChatMessage>> read_messages(const std::string& path);

}  // namespace mixtral
