#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "core/process_memory.h"
#include "engine/answer.h"

namespace mixtral {
namespace {

void describe(std::string& out, std::string_view name, std::string_view type,
              std::string_view help) {
  fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

template <class T>
void counter(std::string& out, std::string_view name, std::string_view help, T value) {
  describe(out, name, "counter", help);
  fmt::format_to(std::back_inserter(out), "{} {}\n", name, value);
}

template <class T>
void gauge(std::string& out, std::string_view name, std::string_view help, T value) {
  describe(out, name, "gauge", help);
  fmt::format_to(std::back_inserter(out), "{} {}\n", name, value);
}

// A label's value, as the format wants it.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out.push_back('\\');
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

void write_engine(const EngineStats& stats, std::string& out) {
  gauge(out, "mixtral_requests_waiting", "Requests in the queue.", stats.waiting);
  gauge(out, "mixtral_sequences_running", "Sequences that take part in steps.", stats.running);
  counter(out, "mixtral_requests_accepted_total", "Requests taken into the queue.",
          stats.requests_accepted);
  counter(out, "mixtral_requests_refused_total", "Requests that found the queue full.",
          stats.requests_refused);
  counter(out, "mixtral_prompt_tokens_total", "Tokens of prompts.", stats.prompt_tokens);
  counter(out, "mixtral_prompt_tokens_cached_total", "Of these, found in the cache.",
          stats.cached_tokens);
  counter(out, "mixtral_generated_tokens_total", "Tokens of answers.", stats.generated_tokens);
  counter(out, "mixtral_steps_total", "Forward passes.", stats.steps);
  counter(out, "mixtral_step_rows_total", "Tokens computed in them.", stats.step_rows);
  counter(out, "mixtral_step_seconds_total", "Time in steps.", stats.step_seconds);
  counter(out, "mixtral_overhead_seconds_total", "Time in steps outside of the model.",
          stats.overhead_seconds);
  gauge(out, "mixtral_cache_pages", "Pages of the key-value cache.", stats.pages_total);
  gauge(out, "mixtral_cache_pages_used", "Pages that sequences hold.", stats.pages_used);
  gauge(out, "mixtral_cache_pages_kept", "Pages kept for later prompts only.", stats.pages_cached);
  gauge(out, "mixtral_cache_usage_ratio", "Used pages over all.",
        stats.pages_total == 0
            ? 0.0
            : static_cast<double>(stats.pages_used) / static_cast<double>(stats.pages_total));
  counter(out, "mixtral_preemptions_total", "Sequences put back into the queue.",
          stats.preemptions);
  counter(out, "mixtral_drafted_tokens_total", "Tokens guessed ahead.", stats.drafted_tokens);
  counter(out, "mixtral_accepted_draft_tokens_total", "Of these, right.",
          stats.accepted_draft_tokens);
  describe(out, "mixtral_answers_total", "counter", "Answers by how they ended.");
  for (size_t i = 0; i < stats.answers_finished.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "mixtral_answers_total{{reason=\"{}\"}} {}\n",
                   finish_reason_name(static_cast<FinishReason>(i)), stats.answers_finished[i]);
  }
}

void write_experts(const std::vector<uint64_t>& tokens, size_t n_experts, std::string& out) {
  if (tokens.empty() || n_experts == 0) return;
  describe(out, "mixtral_expert_tokens_total", "counter", "Tokens that chose the expert.");
  for (size_t i = 0; i < tokens.size(); ++i) {
    fmt::format_to(std::back_inserter(out),
                   "mixtral_expert_tokens_total{{layer=\"{}\",expert=\"{}\"}} {}\n", i / n_experts,
                   i % n_experts, tokens[i]);
  }
}

struct SpanName {
  std::string_view name, help;
};
constexpr std::array<SpanName, 4> kSpans = {
    {{"mixtral_queue_seconds", "From a request's arrival to its first step."},
     {"mixtral_first_token_seconds", "From a request's arrival to the first token of an answer."},
     {"mixtral_between_tokens_seconds", "From one token of an answer to the next."},
     {"mixtral_request_seconds", "From a request's arrival to the end of its answers."}}};

}  // namespace

void Histogram::add(double seconds) {
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++counts_[static_cast<size_t>(bound - kBounds.begin())];
  sum_ += seconds;
}

void Histogram::write(std::string_view name, std::string_view help, std::string& out) const {
  describe(out, name, "histogram", help);
  const auto to = std::back_inserter(out);
  uint64_t total = 0;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    total += counts_[i];
    fmt::format_to(to, "{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[i], total);
  }
  total += counts_.back();
  fmt::format_to(to, "{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, total, name,
                 sum_, name, total);
}

int64_t Metrics::now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void Metrics::add_time(Span span, double seconds) {
  const std::lock_guard lock(mutex_);
  times_[static_cast<size_t>(span)].add(seconds);
}

void Metrics::add_response(std::string_view route, unsigned status) {
  const std::lock_guard lock(mutex_);
  ++responses_[{std::string(route), status}];
}

void Metrics::add_disconnect() {
  const std::lock_guard lock(mutex_);
  ++n_disconnects_;
}

std::string Metrics::text(const Gauges& gauges) const {
  std::string out;
  describe(out, "mixtral_build_info", "gauge", "Version and model.");
  fmt::format_to(std::back_inserter(out), "mixtral_build_info{{version=\"{}\",model=\"{}\"}} 1\n",
                 escaped(gauges.version), escaped(gauges.model));
  write_engine(gauges.engine, out);
  write_experts(gauges.engine.expert_tokens, gauges.n_experts, out);
  gauge(out, "process_resident_memory_bytes", "Memory in use.", resident_bytes());
  gauge(out, "process_start_time_seconds", "Seconds from 1970 to the start.", started_);
  const std::lock_guard lock(mutex_);
  counter(out, "mixtral_client_disconnects_total", "Clients that left before their answer's end.",
          n_disconnects_);
  for (size_t i = 0; i < times_.size(); ++i) times_[i].write(kSpans[i].name, kSpans[i].help, out);
  describe(out, "mixtral_http_responses_total", "counter", "Answers by route and status.");
  for (const auto& [key, count] : responses_) {
    fmt::format_to(std::back_inserter(out),
                   "mixtral_http_responses_total{{route=\"{}\",code=\"{}\"}} {}\n",
                   escaped(key.first), key.second, count);
  }
  return out;
}

}  // namespace mixtral
