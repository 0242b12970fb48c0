// POST /v1/chat/completions and what shares its form.
#include <utility>

#include "server/chat_request.h"
#include "server/prompts.h"

namespace mixtral {
namespace {

struct ChatShapeOptions {
  std::string prefix;
  bool with_logprobs = false;
  size_t n_answers = 1;
  bool with_tools = false;  ///< answers may be calls
  bool with_prompt_logprobs = false;
};

class ChatShape : public AnswerShape {
 public:
  ChatShape(const Tokenizer& tokenizer, ChatShapeOptions options)
      : tokenizer_(tokenizer), options_(std::move(options)), held_(options_.n_answers) {}

  std::string opening_text(size_t) const override { return options_.prefix; }

  void on_prompt(size_t, const PromptRead& read) override {
    if (options_.with_prompt_logprobs)
      prompt_logprobs_ = prompt_logprobs_json(tokenizer_, read.logprobs, false);
  }

  Json opening_chunk(size_t choice) const override {
    return chunk_json(choice, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
  }

  std::vector<Json> chunks(const AnswerPart& part) override {
    if (options_.with_tools) return chunks_with_tools(part);
    return {text_chunk(part)};
  }

  Json whole(const AnswerPart& part) override {
    const auto calls = calls_of(part.text, *part.end);
    const bool with_logprobs = options_.with_logprobs && !calls;
    return {{"index", part.choice},
            {"message",
             {{"role", "assistant"},
              {"content", calls ? Json(nullptr) : Json(part.text)},
              {"refusal", nullptr},
              {"tool_calls", calls ? tool_calls_json(*calls) : Json(nullptr)}}},
            {"logprobs", with_logprobs ? logprobs(part.tokens) : Json(nullptr)},
            {"finish_reason", calls ? Json(kToolCalls) : Json(finish_reason_of(*part.end))},
            {"stop_reason", stop_reason(*part.end)}};
  }

  void add_members(Json& body) override {
    if (options_.with_prompt_logprobs) body["prompt_logprobs"] = std::move(prompt_logprobs_);
  }

 private:
  static constexpr const char* kToolCalls = "tool_calls";

  static Json chunk_json(size_t choice, Json delta, Json logprobs, Json reason) {
    return {{"index", choice},
            {"delta", std::move(delta)},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", std::move(reason)}};
  }

  Json text_chunk(const AnswerPart& part) const {
    const Json reason = part.end == nullptr ? Json(nullptr) : Json(finish_reason_of(*part.end));
    Json json = chunk_json(part.choice, {{"content", part.text}},
                           part.tokens.empty() ? Json(nullptr) : logprobs(part.tokens), reason);
    if (part.end != nullptr) json["stop_reason"] = stop_reason(*part.end);
    return json;
  }

  // Text waits while it may be, or is, a list of calls, which clients want in one piece and before
  // the end.
  std::vector<Json> chunks_with_tools(const AnswerPart& part) {
    Held& held = held_[part.choice];
    if (held.is_text || (part.text.empty() && part.end == nullptr)) return {text_chunk(part)};
    held.text += part.text;
    held.tokens.insert(held.tokens.end(), part.tokens.begin(), part.tokens.end());
    const bool may_be_calls = kToolMarker.starts_with(held.text.substr(0, kToolMarker.size()));
    if (part.end == nullptr && may_be_calls) return {};
    if (part.end != nullptr) {
      if (const auto calls = calls_of(held.text, *part.end)) {
        Json end = chunk_json(part.choice, {{"content", ""}}, nullptr, kToolCalls);
        end["stop_reason"] = stop_reason(*part.end);
        const Json delta = {{"content", ""}, {"tool_calls", tool_calls_json(*calls)}};
        return {chunk_json(part.choice, delta, nullptr, nullptr), std::move(end)};
      }
    }
    held.is_text = true;
    return {text_chunk({part.choice, std::move(held.text), std::move(held.tokens), part.end})};
  }

  std::optional<std::vector<ToolCall>> calls_of(std::string_view text, const AnswerEnd& end) const {
    if (!options_.with_tools || end.reason != FinishReason::kStop) return std::nullopt;
    return parse_tool_calls(text);
  }

  Json logprobs(const std::vector<ShownToken>& tokens) const {
    Json content = Json::array();
    for (const ShownToken& token : tokens) {
      if (!token.is_control) content.push_back(chat_logprob_json(tokenizer_, token));
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }

  const Tokenizer& tokenizer_;
  ChatShapeOptions options_;
  struct Held {
    std::string text;
    std::vector<ShownToken> tokens;
    bool is_text = false;  // no calls: nothing waits any more
  };
  std::vector<Held> held_;  // of each choice
  Json prompt_logprobs_;
};

}  // namespace

ApiStatus handle_chat(ApiContext& context, Call& call) {
  MIXTRAL_TRY(ChatRequest chat_request, read_chat_request(context, call));
  auto& [input, plan] = chat_request;
  MIXTRAL_TRY(RenderedChat chat, render_chat(context, input));
  MIXTRAL_TRY(check_prompt_length(chat.ids.size(), context));

  plan.head = make_answer_head(context, call, "chatcmpl-", "chat.completion");
  plan.chunk_object = "chat.completion.chunk";
  plan.strip_leading_space = chat.strip_leading_space;
  Request request = plan.fields.request;
  request.prompt_ids = std::move(chat.ids);
  request.strip_leading_space = chat.strip_leading_space;
  auto shape = std::make_unique<ChatShape>(
      *context.model.tokenizer,
      ChatShapeOptions{input.prefix, plan.wants_logprobs, request.n_answers,
                       !input.tools.tools.empty(), request.n_prompt_logprobs.has_value()});
  auto sink = make_answer_sink(context, call.exchange, std::move(plan), 1, std::move(shape));
  return Job::start(context, call.exchange, {std::move(request)}, std::move(sink));
}

// Mixtral has no tokens for text around a gap: what comes before it is continued.
ApiStatus handle_fim(ApiContext& context, Call& call) {
  Fields fields(call.body);
  read_model(fields, context, call);
  const auto prompt = fields.text("prompt");
  if (!prompt) fields.refuse("prompt", "prompt: missing");
  if (!fields.text("suffix").value_or("").empty())
    fields.refuse("suffix", "suffix: this model has no tokens for a gap in a text");
  AnswerPlan plan;
  plan.fields =
      read_answer_fields(fields, context, call, {context.options.chat_temperature, std::nullopt});
  MIXTRAL_TRY(finish_fields(fields, context));

  plan.head = make_answer_head(context, call, "fim-", "chat.completion");
  plan.chunk_object = "chat.completion.chunk";
  Request request = plan.fields.request;
  request.prompt_ids = encode_prompt(*context.model.tokenizer, *prompt, true);
  MIXTRAL_TRY(check_prompt_length(request.prompt_ids.size(), context));
  ChatShapeOptions options;
  options.with_prompt_logprobs = request.n_prompt_logprobs.has_value();
  auto shape = std::make_unique<ChatShape>(*context.model.tokenizer, std::move(options));
  auto sink = make_answer_sink(context, call.exchange, std::move(plan), 1, std::move(shape));
  return Job::start(context, call.exchange, {std::move(request)}, std::move(sink));
}

}  // namespace mixtral
