#include "server/answer_shape.h"

#include <utility>

#include "server/random_id.h"

namespace mixtral {

AnswerHead make_answer_head(const ApiContext& context, const Call& call, std::string_view id_prefix,
                            std::string_view object) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {random_id(id_prefix), std::string(object), call.model.id, context.model.fingerprint,
          std::chrono::duration_cast<std::chrono::seconds>(now).count()};
}

Json AnswerHead::json() const {
  return {{"id", id},
          {"object", object},
          {"created", created},
          {"model", model},
          {"system_fingerprint", fingerprint}};
}

Json Usage::json() const {
  return {{"prompt_tokens", prompt_tokens},
          {"completion_tokens", completion_tokens},
          {"total_tokens", prompt_tokens + completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", cached_tokens}}}};
}

std::string_view finish_reason_of(const AnswerEnd& end) {
  return end.reason == FinishReason::kStop ? "stop" : "length";
}

Json stop_reason(const AnswerEnd& end) {
  if (end.stop) return *end.stop;
  return end.stop_id ? Json(*end.stop_id) : Json(nullptr);
}

}  // namespace mixtral
