// `mixtral load-test`: many requests at once against a server, and how long they took.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "app_context.h"
#include "commands.h"
#include "core/rng.h"
#include "http_client.h"
#include "number_option.h"
#include "terminal.h"
#include "token_ids.h"

namespace mixtral {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string url = "http://127.0.0.1:8080", key, file;
  size_t concurrency = 16, n_requests = 64, prompt_tokens = 32, max_tokens = 64;
  uint64_t seed = 0;
  bool json = false;
};

struct WorkItem {
  std::string path, body;
};

// What the threads find out, under the mutex.
struct Findings {
  std::mutex mutex;
  std::vector<double> first, between, whole;  // seconds
  std::map<std::string, size_t> outcomes;     // "200", "429", "no connection: …"
  size_t n_tokens = 0;
};

// Random ids: the same number of tokens for every tokenizer, and nothing that a cache knows.
Result<std::vector<WorkItem>> synthetic(const Options& options, const ServerUrl& server) {
  MIXTRAL_TRY(const Json models, call_server_json({server, "GET", "/v1/models", "", options.key}));
  size_t vocab_size = 0;
  if (models.contains("data") && !models["data"].empty())
    vocab_size = models["data"][0].value("meta", Json::object()).value("n_vocab", size_t{0});
  constexpr size_t kFirstId = 260;  // beyond control tokens and bytes
  if (vocab_size <= kFirstId)
    return fail(ErrorCode::kBadInput, "the server does not tell the size of its vocabulary");
  Rng rng(options.seed);
  std::vector<WorkItem> work;
  for (size_t i = 0; i < options.n_requests; ++i) {
    Json ids = Json::array();
    for (size_t j = 0; j < options.prompt_tokens; ++j)
      ids.push_back(kFirstId + rng.below(vocab_size - kFirstId));
    const Json body = {{"prompt", ids},      {"max_tokens", options.max_tokens},
                       {"stream", true},     {"stream_options", {{"include_usage", true}}},
                       {"ignore_eos", true}, {"seed", options.seed + i}};
    work.push_back({"/v1/completions", body.dump()});
  }
  return work;
}

// A request on each line, of chat if it has messages.
Result<std::vector<WorkItem>> recorded(const Options& options) {
  MIXTRAL_TRY(const std::string text, read_text(options.file));
  std::vector<WorkItem> work;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (line.empty()) continue;
    MIXTRAL_TRY(Json body, parse_json(line, options.file));
    if (!body.is_object())
      return fail(ErrorCode::kBadInput, "{}: expected an object on each line", options.file);
    const char* path = body.contains("messages") ? "/v1/chat/completions" : "/v1/completions";
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
    work.push_back({path, body.dump()});
  }
  return work;
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

void run_one(const WorkItem& item, const Options& options, const ServerUrl& server,
             Findings& findings) {
  const auto start = Clock::now();
  std::vector<Clock::time_point> times;
  size_t n_tokens = 0;
  bool failed = false;
  EventReader events;
  const auto on_event = [&](const Json& event) {
    failed = failed || event.contains("error");
    if (event.contains("usage") && event["usage"].is_object())
      n_tokens = event["usage"].value("completion_tokens", size_t{0});
    const Json choices = event.value("choices", Json::array());
    if (choices.empty()) return true;
    const std::string text = choices[0].contains("delta") ? choices[0]["delta"].value("content", "")
                                                          : choices[0].value("text", "");
    if (!text.empty()) times.push_back(Clock::now());
    return true;
  };
  const auto reply =
      call_server({server, "POST", item.path, item.body, options.key},
                  [&](std::string_view data) { return events.push(data, on_event); });
  const auto end = Clock::now();

  const std::lock_guard lock(findings.mutex);
  if (!reply) return void(++findings.outcomes[reply.error().message]);
  const bool cut = reply->status == 200 && (failed || !events.done());
  ++findings.outcomes[cut ? "cut off" : fmt::format("{}", reply->status)];
  if (reply->status != 200 || cut) return;
  findings.n_tokens += n_tokens;
  findings.whole.push_back(seconds_between(start, end));
  if (!times.empty()) findings.first.push_back(seconds_between(start, times.front()));
  for (size_t i = 1; i < times.size(); ++i)
    findings.between.push_back(seconds_between(times[i - 1], times[i]));
}

double percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
}

Json summary(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {{"p50", percentile(seconds, 0.5)},
          {"p90", percentile(seconds, 0.9)},
          {"p99", percentile(seconds, 0.99)},
          {"max", percentile(seconds, 1)}};
}

std::string table(const Json& report) {
  std::string text;
  for (const auto& [outcome, count] : report["outcomes"].items())
    text += fmt::format("{:<18}{}\n", outcome, count.get<size_t>());
  text += fmt::format("{:<18}{:.1f}\n{:<18}{:.2f}\n", "tokens/s",
                      report["tokens_per_second"].get<double>(), "answers/s",
                      report["answers_per_second"].get<double>());
  text += fmt::format("{:<18}{:>9}{:>9}{:>9}{:>9}\n", "milliseconds", "p50", "p90", "p99", "max");
  for (const auto& [key, name] :
       {std::pair("first_token", "first token"), std::pair("between_tokens", "between tokens"),
        std::pair("whole", "whole answer")}) {
    text += fmt::format("{:<18}", name);
    for (const char* column : {"p50", "p90", "p99", "max"})
      text += fmt::format("{:>9.1f}", 1e3 * report[key][column].get<double>());
    text += "\n";
  }
  return text;
}

Status run(const Options& options, const AppContext& context) {
  MIXTRAL_TRY(const ServerUrl server, parse_server_url(options.url));
  MIXTRAL_TRY(const auto work,
              options.file.empty() ? synthetic(options, server) : recorded(options));
  if (work.empty()) return fail(ErrorCode::kBadInput, "no requests");
  const size_t n_threads = std::min(options.concurrency, work.size());
  context.note(fmt::format("{} requests, {} at a time", work.size(), n_threads));
  Findings findings;
  std::atomic<size_t> next = 0;
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < n_threads; ++i) {
    threads.emplace_back([&] {
      for (size_t item; (item = next++) < work.size();)
        run_one(work[item], options, server, findings);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = seconds_between(start, Clock::now());

  const auto per_second = [&](size_t count) { return static_cast<double>(count) / seconds; };
  const Json report = {{"requests", work.size()},
                       {"concurrency", n_threads},
                       {"seconds", seconds},
                       {"outcomes", findings.outcomes},
                       {"tokens", findings.n_tokens},
                       {"tokens_per_second", per_second(findings.n_tokens)},
                       {"answers_per_second", per_second(findings.whole.size())},
                       {"first_token", summary(findings.first)},
                       {"between_tokens", summary(findings.between)},
                       {"whole", summary(findings.whole)}};
  write_out(options.json ? report.dump() + "\n" : table(report));
  return {};
}

constexpr const char* kHelp =
    R"(Without --file the prompts are random tokens, and every answer has the same length.

Examples:
  mixtral load-test --concurrency 16 --requests 64
  mixtral load-test --url http://127.0.0.1:8080 --file requests.jsonl)";

}  // namespace

void add_load_test_command(CLI::App& app, AppContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("load-test", "Many requests at once against a server");
  command->footer(kHelp);
  command->add_option("--url", options->url, "The server")->capture_default_str();
  command->add_option("--api-key", options->key, "Key for it");
  command->add_option("--file", options->file, "Requests, a JSON object on each line");
  add_shown_number_option<size_t>(*command, "--concurrency", options->concurrency,
                                  "Requests at a time", {.smallest = 1, .largest = 10000});
  add_shown_number_option<size_t>(*command, "--requests", options->n_requests, "Requests in all",
                                  {.smallest = 1, .largest = 10'000'000});
  add_shown_number_option<size_t>(*command, "--prompt-tokens", options->prompt_tokens,
                                  "Tokens of each prompt", {.smallest = 1, .largest = 1'000'000});
  add_shown_number_option<size_t>(*command, "-n,--max-tokens", options->max_tokens,
                                  "Tokens of each answer", {.smallest = 1, .largest = 1'000'000});
  add_shown_number_option<uint64_t>(*command, "--seed", options->seed, "Of the random tokens", {});
  command->add_flag("--json", options->json, "Print one JSON object");
  add_output_options(*command, context);
  command->callback([options, &context] { context.finish(run(*options, context)); });
}

}  // namespace mixtral
