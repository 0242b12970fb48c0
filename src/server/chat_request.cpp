#include "server/chat_request.h"

namespace mixtral {
namespace {

void read_chat_logprobs(Fields& fields, AnswerPlan& plan) {
  const bool wanted = fields.boolean("logprobs", false);
  const auto top = fields.integer("top_logprobs", 0, kMaxLogprobs);
  if (top.value_or(0) > 0 && !wanted)
    fields.refuse("top_logprobs", "top_logprobs: only together with \"logprobs\": true");
  plan.wants_logprobs = wanted;
  if (wanted) plan.fields.request.sampling.n_logprobs = static_cast<size_t>(top.value_or(0));
}

}  // namespace

ApiResult<ChatRequest> read_chat_request(const ApiContext& context, Call& call) {
  Fields fields(call.body);
  read_model(fields, context, call);
  ChatRequest request;
  request.input = read_chat_input(fields, context.options);
  request.plan.fields =
      read_answer_fields(fields, context, call, {context.options.chat_temperature, std::nullopt});
  read_chat_logprobs(fields, request.plan);
  require_tool_form(fields, request.input.tools, request.plan.fields.request);
  MIXTRAL_TRY(finish_fields(fields, context));
  return request;
}

}  // namespace mixtral
