// POST /v1/completions: texts or ids continued as they are, their log-probabilities on request.
#include <algorithm>
#include <utility>

#include "server/answer_shape.h"
#include "server/prompts.h"

namespace mixtral {
namespace {

constexpr size_t kDefaultMaxTokens = 16;

// Log-probabilities: of answers, and of echoed prompts; of prompts apart from the text.
struct Wanted {
  bool echo = false, logprobs = false, prompt_logprobs = false;
};

// What `shown` is in the text whose rest is `rest`, and takes it from there. A control token is its
// name, where the text had that, and nothing where the tokenizer added it.
std::string_view take_shown(std::string_view& rest, const ShownToken& shown,
                            const Tokenizer& tokenizer) {
  std::string_view text = shown.bytes;
  if (shown.is_control) {
    const std::string_view name = tokenizer.piece(shown.token.id);
    if (rest.starts_with(name)) text = name;
  }
  rest.remove_prefix(std::min(rest.size(), text.size()));
  return text;
}

class CompletionShape : public AnswerShape {
 public:
  CompletionShape(const Tokenizer& tokenizer, const std::vector<GivenPrompt>& prompts,
                  size_t n_answers, Wanted wants)
      : tokenizer_(tokenizer), n_answers_(n_answers), wants_(wants) {
    for (const GivenPrompt& prompt : prompts) {
      texts_.push_back(prompt.is_text ? prompt.text : tokenizer.decode(prompt.ids));
      hides_bos_.push_back(prompt.hides_bos);
    }
    prompt_logprobs_.resize(prompts.size());
    logprobs_.assign(prompts.size() * n_answers, LegacyLogprobs(tokenizer));
  }

  std::string opening_text(size_t choice) const override {
    return wants_.echo ? texts_[choice / n_answers_] : std::string();
  }

  void on_prompt(size_t prompt, const PromptRead& read) override {
    if (wants_.prompt_logprobs) {
      const std::span<const SampledToken> tokens(read.logprobs);
      const bool hides_first = hides_bos_[prompt] && !tokens.empty();
      prompt_logprobs_[prompt] =
          prompt_logprobs_json(tokenizer_, tokens.subspan(hides_first ? 1 : 0), hides_first);
    }
    if (!wants_.logprobs || !wants_.echo) return;
    std::string_view rest = texts_[prompt];
    bool may_strip = tokenizer_.adds_space_prefix();
    for (size_t i = 0; i < read.logprobs.size(); ++i) {
      const ShownToken shown = shown_token(tokenizer_, read.logprobs[i], may_strip);
      if (!shown.is_control) may_strip = false;
      if (i == 0 && hides_bos_[prompt]) continue;
      const std::string_view text = take_shown(rest, shown, tokenizer_);
      for (size_t choice = prompt * n_answers_; choice < (prompt + 1) * n_answers_; ++choice)
        logprobs_[choice].add(shown, text, i > 0);
    }
  }

  Json opening_chunk(size_t) const override { return nullptr; }

  std::vector<Json> chunks(const AnswerPart& part) override { return {choice_json(part)}; }
  Json whole(const AnswerPart& part) override {
    Json json = choice_json(part);
    if (wants_.prompt_logprobs)
      json["prompt_logprobs"] = prompt_logprobs_[part.choice / n_answers_];
    return json;
  }

 private:
  Json choice_json(const AnswerPart& part) {
    Json json = {{"index", part.choice}, {"text", part.text}, {"logprobs", nullptr}};
    json["finish_reason"] = part.end == nullptr ? Json(nullptr) : Json(finish_reason_of(*part.end));
    if (part.end != nullptr) json["stop_reason"] = stop_reason(*part.end);
    if (!wants_.logprobs) return json;
    LegacyLogprobs& logprobs = logprobs_[part.choice];
    for (const ShownToken& token : part.tokens) logprobs.add(token, token.bytes, true);
    if (!logprobs.empty()) json["logprobs"] = logprobs.take();
    return json;
  }

  const Tokenizer& tokenizer_;
  std::vector<std::string> texts_;  // of the prompts
  std::vector<bool> hides_bos_;     // of each prompt
  size_t n_answers_;
  Wanted wants_;
  std::vector<LegacyLogprobs> logprobs_;  // of each choice
  std::vector<Json> prompt_logprobs_;     // of each prompt
};

// More answers than are shown: those of the highest mean log-probability are.
void read_best_of(Fields& fields, AnswerPlan& plan, size_t max_answers) {
  Request& request = plan.fields.request;
  const auto best_of = fields.integer("best_of", 1, static_cast<int64_t>(max_answers));
  if (!best_of || static_cast<size_t>(*best_of) == request.n_answers) return;
  const auto n_answers = static_cast<size_t>(*best_of);
  if (n_answers < request.n_answers)
    fields.refuse("best_of", "best_of is {}, expected at least n, {}", n_answers,
                  request.n_answers);
  if (plan.fields.stream || plan.fields.wants_routing)
    fields.refuse("best_of", "best_of: not together with a stream or routing");
  plan.n_shown = std::exchange(request.n_answers, n_answers);
  if (!request.sampling.n_logprobs) request.sampling.n_logprobs = 0;
}

// Fields that only this endpoint has, and what they do not go together with.
Wanted read_completion_fields(Fields& fields, AnswerPlan& plan, size_t max_answers) {
  Request& request = plan.fields.request;
  Wanted wants;
  wants.prompt_logprobs = request.n_prompt_logprobs.has_value();
  wants.echo = fields.boolean("echo", false);
  const auto logprobs = fields.integer("logprobs", 0, kMaxLogprobs);
  if (logprobs) {
    const auto n_top = static_cast<size_t>(*logprobs);
    plan.wants_logprobs = wants.logprobs = true;
    request.sampling.n_logprobs = n_top;
    if (wants.echo && request.n_prompt_logprobs.value_or(n_top) != n_top)
      fields.refuse("prompt_logprobs", "prompt_logprobs differs from logprobs, which echo shows");
    if (wants.echo) request.n_prompt_logprobs = n_top;
  }
  if (!fields.text("suffix").value_or("").empty())
    fields.refuse("suffix", "suffix: this model has no tokens for a gap in a text");
  read_best_of(fields, plan, max_answers);
  return wants;
}

// Mistral's and Hugging Face's tokenizers begin every text so, lm-evaluation-harness' requests do
// not.
void add_hidden_bos(const ApiContext& context, std::vector<GivenPrompt>& prompts) {
  const auto bos = context.model.tokenizer->bos_id();
  if (!context.options.force_bos || !bos) return;
  for (GivenPrompt& prompt : prompts) {
    if (prompt.is_text || prompt.ids.empty() || prompt.ids.front() == *bos) continue;
    prompt.ids.insert(prompt.ids.begin(), *bos);
    prompt.hides_bos = true;
  }
}

ApiResult<std::vector<GivenPrompt>> completion_prompts(Fields& fields, const ApiContext& context) {
  const Tokenizer& tokenizer = *context.model.tokenizer;
  const bool add_bos = fields.boolean("add_special_tokens", true);
  auto prompts = read_prompts(fields, "prompt", tokenizer, add_bos);
  if (prompts.empty() && fields.good()) {  // a new document
    if (!tokenizer.bos_id()) fields.refuse("prompt", "prompt: missing");
    prompts.push_back({"", {tokenizer.bos_id().value_or(0)}, false});
  }
  for (const GivenPrompt& prompt : prompts) {
    if (prompt.ids.empty()) fields.refuse("prompt", "prompt: no tokens, expected at least one");
  }
  MIXTRAL_TRY(fields.status());
  add_hidden_bos(context, prompts);
  for (const GivenPrompt& prompt : prompts)
    MIXTRAL_TRY(check_prompt_length(prompt.ids.size(), context));
  return prompts;
}

}  // namespace

ApiStatus handle_completions(ApiContext& context, Call& call) {
  Fields fields(call.body);
  read_model(fields, context, call);
  AnswerPlan plan;
  plan.fields = read_answer_fields(fields, context, call,
                                   {context.options.completion_temperature, kDefaultMaxTokens});
  const Wanted wants = read_completion_fields(fields, plan, context.options.max_answers);
  MIXTRAL_TRY(auto prompts, completion_prompts(fields, context));
  MIXTRAL_TRY(finish_fields(fields, context));

  plan.head = make_answer_head(context, call, "cmpl-", "text_completion");
  plan.chunk_object = plan.head.object;
  std::vector<Request> requests(prompts.size(), plan.fields.request);
  auto shape = std::make_unique<CompletionShape>(*context.model.tokenizer, prompts,
                                                 plan.fields.request.n_answers, wants);
  for (size_t i = 0; i < prompts.size(); ++i) requests[i].prompt_ids = std::move(prompts[i].ids);
  auto sink =
      make_answer_sink(context, call.exchange, std::move(plan), requests.size(), std::move(shape));
  return Job::start(context, call.exchange, std::move(requests), std::move(sink));
}

}  // namespace mixtral
