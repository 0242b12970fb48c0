#include "chat_session.h"

#include <fmt/format.h>

#include <charconv>

#include "answer_options.h"
#include "interrupt.h"
#include "io/quoted.h"
#include "terminal.h"

namespace mixtral {
namespace {

constexpr const char* kHelp = R"(/reset          begin a new dialogue
/system TEXT    how the model is to answer; without a text: nothing special
/stats          speed of the last answer, and how full the context is
/routing LAYER  the experts that each token of the last answer went to, in layer 0 or the one given
/quit           leave, as Ctrl-D does
A line that ends in \ goes on in the next one, and so does all between """ and """.
A message that begins with // is sent with one /. Ctrl-C stops an answer.
)";

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

}  // namespace

ChatSession::ChatSession(Engine& engine, ChatTemplate chat_template, GenerateOptions options,
                         const AppContext& context)
    : engine_(engine),
      template_(std::move(chat_template)),
      options_(std::move(options)),
      context_(context) {
  options_.cancel = &interrupted();
  options_.routing = engine.model().config().has_router();
}

Result<RenderedChat> ChatSession::render() const {
  std::vector<ChatMessage> messages = messages_;
  if (!system_.empty()) messages.insert(messages.begin(), {"system", system_});
  return template_.render(messages);
}

Status ChatSession::say(std::string_view text) {
  messages_.push_back({"user", std::string(text)});
  interrupted() = false;
  auto chat = render();
  if (!chat) {
    messages_.pop_back();
    return tl::unexpected(std::move(chat).error());
  }
  GenerateOptions options = options_;
  options.strip_leading_space = chat->strip_leading_space;
  options.sampling.seed += n_answers_++;  // asked again, the model may say something else
  auto generation = engine_.generate(chat->ids, options,
                                     [](const GeneratedToken& token) { write_out(token.text); });
  if (!generation) {
    messages_.pop_back();
    if (generation.error().code != ErrorCode::kTooLarge) return tl::unexpected(generation.error());
    return with_context(generation.error(), "the dialogue is full, /reset begins a new one");
  }
  write_out("\n");
  std::string line = timing_line(generation->timings);
  if (generation->finish_reason == FinishReason::kCancelled) line += ", stopped";
  if (generation->finish_reason == FinishReason::kLength) line += ", cut at the limit";
  context_.note(dim(line, stderr));
  if (generation->text.empty()) {
    messages_.pop_back();  // no template has a place for an empty answer
  } else {
    messages_.push_back({"assistant", generation->text});
  }
  last_ = *std::move(generation);
  return {};
}

Result<bool> ChatSession::command(std::string_view line) {
  const size_t name_end = line.find_first_of(" \t\n");
  const std::string_view name = line.substr(0, name_end);
  const std::string_view argument =
      name_end == std::string_view::npos ? std::string_view() : trim(line.substr(name_end));
  if (name == "/quit" || name == "/exit") return false;
  if (name == "/help") {
    write_out(kHelp);
  } else if (name == "/reset") {
    messages_.clear();
    last_.reset();
    context_.note("A new dialogue begins.");
  } else if (name == "/system") {
    set_system(argument);
    context_.note(argument.empty() ? "No system text from now on." : "The system text is set.");
  } else if (name == "/stats") {
    show_stats();
  } else if (name == "/routing") {
    MIXTRAL_TRY(show_routing(argument));
  } else {
    return fail(ErrorCode::kBadInput, "{} is no command; /help lists them", in_quotes(name));
  }
  return true;
}

void ChatSession::show_stats() const {
  if (!last_) {
    write_out("no answer yet\n");
    return;
  }
  const Timings& timings = last_->timings;
  write_out(fmt::format(
      "prompt   {} tokens, {} of them known from before, {:.2f} s, {:.1f} tokens/s\n"
      "answer   {} tokens, {:.2f} s, {:.1f} tokens/s\n"
      "context  {} of {} positions\n"
      "model    {} of weights, {}\n",
      timings.prompt_tokens, timings.cached_tokens, timings.prompt_seconds,
      timings.prompt_tokens_per_second(), timings.generated_tokens, timings.generate_seconds,
      timings.generate_tokens_per_second(), timings.prompt_tokens + timings.generated_tokens,
      engine_.context_len(), format_bytes(engine_.model().weight_bytes()),
      engine_.model().backend().description()));
}

Status ChatSession::show_routing(std::string_view argument) const {
  const ModelConfig& config = engine_.model().config();
  if (!config.has_router()) return fail(ErrorCode::kBadInput, "a dense model routes nothing");
  if (!last_) return fail(ErrorCode::kBadInput, "no answer yet");
  size_t layer = 0;
  if (!argument.empty()) {
    const char* end = argument.data() + argument.size();
    const auto parsed = std::from_chars(argument.data(), end, layer);
    if (parsed.ec != std::errc() || parsed.ptr != end || layer >= config.n_layers) {
      return fail(ErrorCode::kBadInput, "{}: expected a layer, 0 to {}", in_quotes(argument),
                  config.n_layers - 1);
    }
  }
  std::vector<int32_t> ids;
  for (const SampledToken& token : last_->tokens) ids.push_back(token.id);
  write_out(fmt::format("layer {} of {}\n", layer, config.n_layers));
  write_out(routing_text(last_->routing, ids, layer, *engine_.tokenizer(), config));
  return {};
}

}  // namespace mixtral
