// The dialogue of a chat request.
#pragma once

#include <string>
#include <vector>

#include "server/api_context.h"
#include "server/fields.h"

namespace mixtral {

struct ChatInput {
  std::vector<ChatMessage> messages;
  std::string prefix;  ///< what the answer begins with, and is shown to begin with
};

/// Reads "messages" and the fields that say how the dialogue goes on; what is wrong is noted in
/// `fields`.
ChatInput read_chat_input(Fields& fields);

/// The prompt that the model's template makes of it. Fails where the template cannot express the
/// dialogue, or there is none.
ApiResult<RenderedChat> render_chat(const ApiContext& context, const ChatInput& input);

}  // namespace mixtral
