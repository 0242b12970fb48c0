// A dialogue with a model in the terminal: messages, answers and the commands that begin with "/".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app_context.h"
#include "core/result.h"
#include "engine/engine.h"
#include "routing_view.h"
#include "text/chat_template.h"

namespace mixtral {

/// Not thread-safe.
class ChatSession {
 public:
  /// `engine` must outlive the session and have a tokenizer.
  ChatSession(Engine& engine, ChatTemplate chat_template, GenerateOptions options,
              const AppContext& context);

  void set_system(std::string_view text) { system_ = text; }
  /// Answers one message on standard output. A failure leaves the dialogue as it was.
  Status say(std::string_view text);
  /// Runs "/NAME ARGUMENT"; false if the dialogue is over.
  Result<bool> command(std::string_view line);

 private:
  Result<RenderedChat> render() const;
  Status show_routing(std::string_view argument) const;
  void show_stats() const;

  Engine& engine_;
  ChatTemplate template_;
  GenerateOptions options_;
  const AppContext& context_;
  std::string system_;
  std::vector<ChatMessage> messages_;
  std::optional<Generation> last_;
  size_t n_answers_ = 0;
};

}  // namespace mixtral
