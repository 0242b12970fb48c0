// The dialogue of a chat request.
#pragma once

#include <string>
#include <vector>

#include "server/api_context.h"
#include "server/fields.h"
#include "server/tool_calls.h"

namespace mixtral {

struct ChatInput {
  std::vector<ChatMessage> messages;
  std::string prefix;  ///< what the answer begins with, and is shown to begin with
  ToolUse tools;       ///< the messages describe them
};

/// Reads "messages" and the fields that say how the dialogue goes on; what is wrong is noted in
/// `fields`.
ChatInput read_chat_input(Fields& fields, const ApiOptions& options);

/// The prompt that the model's template makes of it. Fails where the template cannot express the
/// dialogue, or there is none.
ApiResult<RenderedChat> render_chat(const ApiContext& context, const ChatInput& input);

}  // namespace mixtral
