// All fields of a chat request, for those who answer it and those who only count its tokens.
#pragma once

#include "server/answer_shape.h"
#include "server/chat_messages.h"

namespace mixtral {

struct ChatRequest {
  ChatInput input;
  AnswerPlan plan;  ///< its fields, and whether log-probabilities are wanted
};

/// Fails, naming the field, if one is wrong.
ApiResult<ChatRequest> read_chat_request(const ApiContext& context, Call& call);

}  // namespace mixtral
