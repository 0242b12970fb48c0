#include <algorithm>
#include <numeric>
#include <utility>

#include "server/answer_shape.h"
#include "server/sse.h"

namespace mixtral {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

// One answer as it grows.
struct Choice {
  explicit Choice(const Tokenizer& tokenizer, bool strip_leading_space)
      : queue(tokenizer, strip_leading_space) {}

  TokenQueue queue;
  size_t n_text_bytes = 0;         // that the model wrote
  std::string text;                // of whole answers
  std::vector<ShownToken> tokens;  // of whole answers
  std::optional<AnswerEnd> end;
  double sum_logprob = 0;
  size_t n_tokens = 0;
  std::optional<Clock::time_point> last_token;
  std::vector<RoutedToken> routed;
};

// What whole answers and streams have in common.
class SinkBase : public AnswerSink {
 public:
  SinkBase(ApiContext& context, std::shared_ptr<Exchange> exchange, AnswerPlan plan,
           size_t n_prompts, std::unique_ptr<AnswerShape> shape)
      : context_(context),
        exchange_(std::move(exchange)),
        plan_(std::move(plan)),
        shape_(std::move(shape)) {
    for (size_t i = 0; i < n_prompts * plan_.fields.request.n_answers; ++i)
      choices_.emplace_back(*context.model.tokenizer, plan_.strip_leading_space);
  }

  void on_prompt(size_t prompt, PromptRead read) override {
    usage_.prompt_tokens += read.n_tokens;
    usage_.cached_tokens += read.n_cached;
    shape_->on_prompt(prompt, read);
    prompt_is_read(prompt);
  }

  void on_token(size_t prompt, AnswerToken token) override {
    const size_t index = index_of(prompt, token.answer);
    Choice& choice = choices_[index];
    time_token(choice);
    choice.n_text_bytes += token.text.size();
    choice.sum_logprob += token.token.logprob;
    ++choice.n_tokens;
    if (plan_.fields.wants_routing) add_routing(choice, token);
    if (plan_.wants_logprobs) choice.queue.push(std::move(token.token));
    if (token.text.empty()) return;
    add_part(index, std::move(token.text), false);
  }

  void on_end(size_t prompt, AnswerEnd end) override {
    const size_t index = index_of(prompt, end.answer);
    Choice& choice = choices_[index];
    choice.n_text_bytes += end.text.size();
    usage_.completion_tokens += end.n_tokens;
    std::string text = std::move(end.text);
    choice.end = std::move(end);
    add_part(index, std::move(text), true);
  }

  void finish() override {
    // Of prompts that were only read there is no end.
    for (size_t i = 0; i < choices_.size(); ++i) {
      if (choices_[i].end) continue;
      choices_[i].end.emplace();
      choices_[i].end->reason = FinishReason::kLength;
      add_part(i, "", true);
    }
    keep_routing();
    context_.metrics.add_time(Metrics::Span::kWhole, seconds_since(started_));
    complete();
  }

 protected:
  virtual void prompt_is_read(size_t prompt) = 0;
  virtual void on_part(AnswerPart part) = 0;
  virtual void complete() = 0;

  size_t n_answers() const { return plan_.fields.request.n_answers; }

  ApiContext& context_;
  std::shared_ptr<Exchange> exchange_;
  AnswerPlan plan_;
  std::unique_ptr<AnswerShape> shape_;
  std::vector<Choice> choices_;
  Usage usage_;
  Json routing_;  // of whole answers

 private:
  size_t index_of(size_t prompt, size_t answer) const { return prompt * n_answers() + answer; }

  void add_part(size_t index, std::string text, bool last) {
    Choice& choice = choices_[index];
    AnswerPart part;
    part.choice = index;
    part.text = std::move(text);
    if (plan_.wants_logprobs) part.tokens = choice.queue.take(choice.n_text_bytes, last);
    if (last) part.end = &*choice.end;
    on_part(std::move(part));
  }

  void time_token(Choice& choice) {
    if (choice.last_token) {
      context_.metrics.add_time(Metrics::Span::kBetweenTokens, seconds_since(*choice.last_token));
    } else {
      context_.metrics.add_time(Metrics::Span::kFirstToken, seconds_since(started_));
    }
    choice.last_token = Clock::now();
  }

  // The step that gave this token was the one that read the token before.
  void add_routing(Choice& choice, AnswerToken& token) {
    if (!choice.routed.empty() && token.routing)
      choice.routed.back().routing = *std::move(token.routing);
    const Tokenizer& tokenizer = *context_.model.tokenizer;
    const int32_t id = token.token.id;
    if (tokenizer.is_control(id)) return;
    const bool first = choice.routed.empty();
    const ShownToken shown =
        shown_token(tokenizer, {id, 0, {}}, first && plan_.strip_leading_space);
    choice.routed.push_back({id, valid_utf8(shown.bytes), {}});
  }

  void keep_routing() {
    if (!plan_.fields.wants_routing) return;
    std::vector<AnswerRouting> answers;
    for (size_t i = 0; i < choices_.size(); ++i)
      answers.push_back({i, std::move(choices_[i].routed)});
    const ServedModel& model = context_.model;
    if (!plan_.fields.stream) {
      routing_ = routing_json(answers, {model.n_layers, model.n_experts, model.n_experts_per_token},
                              plan_.fields.routing_layers);
    }
    context_.routing.add(plan_.head.id, std::move(answers));
  }

  const Clock::time_point started_ = Clock::now();
};

class WholeAnswer : public SinkBase {
 public:
  using SinkBase::SinkBase;

  void fail(const ApiError& error) override { exchange_->send(error_response(error)); }

 private:
  void prompt_is_read(size_t) override {}

  void on_part(AnswerPart part) override {
    Choice& choice = choices_[part.choice];
    choice.text += part.text;
    for (ShownToken& token : part.tokens) choice.tokens.push_back(std::move(token));
  }

  void complete() override {
    Json body = plan_.head.json();
    Json& list = body["choices"] = Json::array();
    for (const size_t i : shown()) {
      Choice& choice = choices_[i];
      AnswerPart part;
      part.choice = i;
      part.text = shape_->opening_text(i) + choice.text;
      part.tokens = std::move(choice.tokens);
      part.end = &*choice.end;
      Json json = shape_->whole(part);
      json["index"] = list.size();
      list.push_back(std::move(json));
    }
    body["usage"] = usage_.json();
    shape_->add_members(body);
    if (!routing_.is_null()) body["routing"] = std::move(routing_);
    exchange_->send(json_response(body));
  }

  // The choices that the client sees; of each prompt the best first, if not all.
  std::vector<size_t> shown() const {
    const auto mean = [&](size_t i) {
      const Choice& choice = choices_[i];
      return choice.sum_logprob / static_cast<double>(std::max<size_t>(choice.n_tokens, 1));
    };
    std::vector<size_t> all;
    for (size_t first = 0; first < choices_.size(); first += n_answers()) {
      std::vector<size_t> of_prompt(n_answers());
      std::iota(of_prompt.begin(), of_prompt.end(), first);
      if (plan_.n_shown > 0) {
        std::stable_sort(of_prompt.begin(), of_prompt.end(),
                         [&](size_t a, size_t b) { return mean(a) > mean(b); });
        of_prompt.resize(plan_.n_shown);
      }
      all.insert(all.end(), of_prompt.begin(), of_prompt.end());
    }
    return all;
  }
};

class StreamedAnswer : public SinkBase {
 public:
  using SinkBase::SinkBase;

  void begin() override {
    plan_.head.object = plan_.chunk_object;
    exchange_->begin_stream(event_stream_head(), kPing);
    // The client's helper wants the first events of all choices in their order.
    for (size_t i = 0; i < choices_.size(); ++i) {
      Json opening = shape_->opening_chunk(i);
      if (!opening.is_null()) send(std::move(opening), nullptr);
    }
  }

  void fail(const ApiError& error) override {
    Json choice = shape_->chunks({}).front();
    choice["finish_reason"] = "error";
    Json body = body_of(std::move(choice), nullptr);
    body["error"] = error_json(error);
    exchange_->write(sse_event(json_text(body)));
    exchange_->write(kSseDone);
    exchange_->end_stream();
  }

 private:
  void prompt_is_read(size_t prompt) override {
    for (size_t i = prompt * n_answers(); i < (prompt + 1) * n_answers(); ++i) {
      AnswerPart part;
      part.choice = i;
      part.text = shape_->opening_text(i);
      if (!part.text.empty()) send_all(shape_->chunks(part), nullptr);
    }
  }

  void on_part(AnswerPart part) override {
    const bool last = part.end != nullptr;
    if (last && (!part.text.empty() || !part.tokens.empty())) {
      AnswerPart text = part;
      text.end = nullptr;
      send_all(shape_->chunks(text), nullptr);
      part.text.clear();
      part.tokens.clear();
    }
    if (last) ++n_ended_;
    const bool with_usage = n_ended_ == choices_.size() && !plan_.fields.include_usage;
    send_all(shape_->chunks(part), with_usage ? usage_.json() : Json(nullptr));
  }

  void complete() override {
    if (plan_.fields.include_usage) {
      Json body = plan_.head.json();
      body["choices"] = Json::array();
      body["usage"] = usage_.json();
      exchange_->write(sse_event(json_text(body)));
    }
    exchange_->write(kSseDone);
    exchange_->end_stream();
  }

  Json body_of(Json choice, Json usage) const {
    Json body = plan_.head.json();
    body["choices"] = Json::array();
    body["choices"].push_back(std::move(choice));
    if (plan_.fields.include_usage || !usage.is_null()) body["usage"] = std::move(usage);
    return body;
  }

  // The usage goes with the last.
  void send_all(std::vector<Json> choices, const Json& usage) {
    for (size_t i = 0; i < choices.size(); ++i)
      send(std::move(choices[i]), i + 1 == choices.size() ? usage : Json(nullptr));
  }

  void send(Json choice, Json usage) {
    exchange_->write(sse_event(json_text(body_of(std::move(choice), std::move(usage)))));
  }

  size_t n_ended_ = 0;
};

}  // namespace

std::unique_ptr<AnswerSink> make_answer_sink(ApiContext& context,
                                             std::shared_ptr<Exchange> exchange, AnswerPlan plan,
                                             size_t n_prompts, std::unique_ptr<AnswerShape> shape) {
  if (plan.fields.stream) {
    return std::make_unique<StreamedAnswer>(context, std::move(exchange), std::move(plan),
                                            n_prompts, std::move(shape));
  }
  return std::make_unique<WholeAnswer>(context, std::move(exchange), std::move(plan), n_prompts,
                                       std::move(shape));
}

}  // namespace mixtral
