#include "remote_chat.h"

#include <fmt/format.h>

#include <chrono>

#include "interrupt.h"
#include "io/quoted.h"
#include "terminal.h"

namespace mixtral {
namespace {

constexpr const char* kHelp = R"(/reset          begin a new dialogue
/system TEXT    how the model is to answer; without a text: nothing special
/quit           leave, as Ctrl-D does
)";

Json fields_of(const GenerateOptions& options) {
  const SamplingOptions& sampling = options.sampling;
  Json fields = {{"stream", true},
                 {"stream_options", {{"include_usage", true}}},
                 {"temperature", sampling.temperature},
                 {"top_k", sampling.top_k},
                 {"top_p", sampling.top_p},
                 {"min_p", sampling.min_p},
                 {"repetition_penalty", sampling.repetition_penalty},
                 {"frequency_penalty", sampling.frequency_penalty},
                 {"presence_penalty", sampling.presence_penalty}};
  if (options.max_tokens > 0) fields["max_tokens"] = options.max_tokens;
  if (!options.stop.empty()) fields["stop"] = options.stop;
  for (const auto& [id, bias] : sampling.logit_bias)
    fields["logit_bias"][fmt::format("{}", id)] = bias;
  return fields;
}

}  // namespace

RemoteChat::RemoteChat(ServerUrl server, std::string key, const GenerateOptions& options,
                       const AppContext& context)
    : server_(std::move(server)),
      key_(std::move(key)),
      fields_(fields_of(options)),
      seed_(options.sampling.seed),
      context_(context) {}

Status RemoteChat::say(std::string_view text) {
  Json messages = Json::array();
  if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
  for (const Json& message : messages_) messages.push_back(message);
  const Json question = {{"role", "user"}, {"content", text}};
  messages.push_back(question);
  Json body = fields_;
  body["messages"] = std::move(messages);
  body["seed"] = seed_ + n_answers_++;

  const auto start = Clock::now();
  std::optional<Clock::time_point> first;
  std::string answer, failure;
  size_t n_tokens = 0;
  EventReader events;
  const auto on_event = [&](const Json& event) {
    if (event.contains("error")) failure = event["error"].value("message", "the answer failed");
    if (event.contains("usage") && event["usage"].is_object())
      n_tokens = event["usage"].value("completion_tokens", size_t{0});
    if (event.value("choices", Json::array()).empty()) return true;
    const std::string part = event["choices"][0]["delta"].value("content", "");
    if (!part.empty() && !first) first = Clock::now();
    write_out(part);
    answer += part;
    return true;
  };
  MIXTRAL_TRY(const HttpReply reply,
              call_server({server_, "POST", "/v1/chat/completions", body.dump(), key_},
                          [&](std::string_view data) {
                            return !interrupted() && events.push(data, on_event);
                          }));
  if (reply.status != 200) return fail(ErrorCode::kBadInput, "{}", message_of(reply));
  write_out("\n");
  if (!failure.empty()) return fail(ErrorCode::kIo, "{}", failure);
  const double seconds =
      std::chrono::duration<double>(Clock::now() - first.value_or(start)).count();
  const double wait = std::chrono::duration<double>(first.value_or(Clock::now()) - start).count();
  if (n_tokens > 1) {
    context_.note(
        dim(fmt::format("{}, {:.1f} tokens/s, first after {:.2f} s", counted(n_tokens, "token"),
                        static_cast<double>(n_tokens - 1) / seconds, wait),
            stderr));
  }
  if (answer.empty()) return {};
  messages_.push_back(question);
  messages_.push_back({{"role", "assistant"}, {"content", answer}});
  return {};
}

Result<bool> RemoteChat::command(std::string_view line) {
  const size_t name_end = line.find_first_of(" \t\n");
  const std::string_view name = line.substr(0, name_end);
  if (name == "/quit" || name == "/exit") return false;
  if (name == "/help") {
    write_out(kHelp);
  } else if (name == "/reset") {
    messages_ = Json::array();
    context_.note("A new dialogue begins.");
  } else if (name == "/system") {
    set_system(name_end == std::string_view::npos ? "" : line.substr(name_end + 1));
    context_.note(system_.empty() ? "No system text from now on." : "The system text is set.");
  } else {
    return fail(ErrorCode::kBadInput, "{} is no command of a dialogue with a server",
                in_quotes(name));
  }
  return true;
}

}  // namespace mixtral
