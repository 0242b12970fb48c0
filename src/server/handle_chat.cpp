// POST /v1/chat/completions and what shares its form.
#include <utility>

#include "server/answer_shape.h"
#include "server/chat_messages.h"
#include "server/prompts.h"

namespace mixtral {
namespace {

class ChatShape : public AnswerShape {
 public:
  ChatShape(const Tokenizer& tokenizer, std::string prefix, bool with_logprobs)
      : tokenizer_(tokenizer), prefix_(std::move(prefix)), with_logprobs_(with_logprobs) {}

  std::string opening_text(size_t) const override { return prefix_; }
  void on_prompt(size_t, const PromptRead&) override {}

  Json opening_chunk(size_t choice) const override {
    return chunk_json(choice, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
  }

  Json chunk(const AnswerPart& part) override {
    const Json reason = part.end == nullptr ? Json(nullptr) : Json(finish_reason_of(*part.end));
    Json json = chunk_json(part.choice, {{"content", part.text}},
                           part.tokens.empty() ? Json(nullptr) : logprobs(part.tokens), reason);
    if (part.end != nullptr) json["stop_reason"] = stop_reason(*part.end);
    return json;
  }

  Json whole(const AnswerPart& part) override {
    return {{"index", part.choice},
            {"message",
             {{"role", "assistant"},
              {"content", part.text},
              {"refusal", nullptr},
              {"tool_calls", nullptr}}},
            {"logprobs", with_logprobs_ ? logprobs(part.tokens) : Json(nullptr)},
            {"finish_reason", finish_reason_of(*part.end)},
            {"stop_reason", stop_reason(*part.end)}};
  }

 private:
  static Json chunk_json(size_t choice, Json delta, Json logprobs, Json reason) {
    return {{"index", choice},
            {"delta", std::move(delta)},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", std::move(reason)}};
  }

  Json logprobs(const std::vector<ShownToken>& tokens) const {
    Json content = Json::array();
    for (const ShownToken& token : tokens) {
      if (!token.is_control) content.push_back(chat_logprob_json(tokenizer_, token));
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }

  const Tokenizer& tokenizer_;
  std::string prefix_;
  bool with_logprobs_;
};

void read_chat_logprobs(Fields& fields, AnswerPlan& plan) {
  const bool wanted = fields.boolean("logprobs", false);
  const auto top = fields.integer("top_logprobs", 0, kMaxLogprobs);
  if (top.value_or(0) > 0 && !wanted)
    fields.refuse("top_logprobs", "top_logprobs: only together with \"logprobs\": true");
  plan.wants_logprobs = wanted;
  if (wanted) plan.fields.request.sampling.n_logprobs = static_cast<size_t>(top.value_or(0));
}

}  // namespace

ApiStatus handle_chat(ApiContext& context, Call& call) {
  Fields fields(call.body);
  check_model(fields, context);
  const ChatInput input = read_chat_input(fields);
  AnswerPlan plan;
  plan.fields =
      read_answer_fields(fields, context, call, {context.options.chat_temperature, std::nullopt});
  read_chat_logprobs(fields, plan);
  MIXTRAL_TRY(finish_fields(fields, context));
  MIXTRAL_TRY(RenderedChat chat, render_chat(context, input));
  MIXTRAL_TRY(check_prompt_length(chat.ids.size(), context));

  plan.head = make_answer_head(context, "chatcmpl-", "chat.completion");
  plan.chunk_object = "chat.completion.chunk";
  plan.strip_leading_space = chat.strip_leading_space;
  Request request = plan.fields.request;
  request.prompt_ids = std::move(chat.ids);
  request.strip_leading_space = chat.strip_leading_space;
  auto shape =
      std::make_unique<ChatShape>(*context.model.tokenizer, input.prefix, plan.wants_logprobs);
  auto sink = make_answer_sink(context, call.exchange, std::move(plan), 1, std::move(shape));
  return Job::start(context, call.exchange, {std::move(request)}, std::move(sink));
}

// Mixtral has no tokens for text around a gap: what comes before it is continued.
ApiStatus handle_fim(ApiContext& context, Call& call) {
  Fields fields(call.body);
  check_model(fields, context);
  const auto prompt = fields.text("prompt");
  if (!prompt) fields.refuse("prompt", "prompt: missing");
  if (!fields.text("suffix").value_or("").empty())
    fields.refuse("suffix", "suffix: this model has no tokens for a gap in a text");
  AnswerPlan plan;
  plan.fields =
      read_answer_fields(fields, context, call, {context.options.chat_temperature, std::nullopt});
  MIXTRAL_TRY(finish_fields(fields, context));

  plan.head = make_answer_head(context, "fim-", "chat.completion");
  plan.chunk_object = "chat.completion.chunk";
  Request request = plan.fields.request;
  request.prompt_ids = encode_prompt(*context.model.tokenizer, *prompt, true);
  MIXTRAL_TRY(check_prompt_length(request.prompt_ids.size(), context));
  auto shape = std::make_unique<ChatShape>(*context.model.tokenizer, "", false);
  auto sink = make_answer_sink(context, call.exchange, std::move(plan), 1, std::move(shape));
  return Job::start(context, call.exchange, {std::move(request)}, std::move(sink));
}

}  // namespace mixtral
