#include "engine/running_request.h"

#include <cmath>
#include <utility>

namespace mixtral {
namespace {

double seconds_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

// Mean of `n` vectors, of which `sum` is the sum, scaled to length 1.
std::vector<float> unit_mean(const std::vector<double>& sum, size_t n) {
  double squares = 0;
  for (const double x : sum) squares += x / static_cast<double>(n) * (x / static_cast<double>(n));
  const double length = std::sqrt(squares) * static_cast<double>(n);
  std::vector<float> mean;
  mean.reserve(sum.size());
  for (const double x : sum) mean.push_back(length > 0 ? static_cast<float>(x / length) : 0.0f);
  return mean;
}

}  // namespace

// The logits at a position are about the token after it.
Status RunningRequest::add_logprobs(size_t position, std::span<const float> logits) {
  auto& logprobs = prompt_.logprobs;
  if (logprobs.empty()) logprobs.push_back({request.prompt_ids[0], 0, {}});
  if (position + 1 >= request.prompt_ids.size()) return {};
  SampledToken token;
  token.id = request.prompt_ids[position + 1];
  MIXTRAL_TRY(report_logprobs(logits, *request.n_prompt_logprobs, scratch_, token));
  logprobs.push_back(std::move(token));
  return {};
}

Status RunningRequest::add_prompt_rows(const StepRecorder& step, size_t first_row, size_t n_rows,
                                       size_t first_position, TensorView<const float> logits) {
  if (n_rows_added_ == 0) n_rows_added_ = first_position;
  for (size_t row = 0; row < n_rows; ++row) {
    const size_t position = first_position + row;
    if (position < n_rows_added_) continue;  // before its pages were lost
    n_rows_added_ = position + 1;
    if (request.routing) prompt_.routing.push_back(step.routing(first_row + row));
    if (request.embedding) {
      const auto hidden = step.hidden(first_row + row);
      hidden_sum_.resize(hidden.size());
      for (size_t i = 0; i < hidden.size(); ++i) hidden_sum_[i] += static_cast<double>(hidden[i]);
    }
    if (request.n_prompt_logprobs) MIXTRAL_TRY(add_logprobs(position, logits.row_span(row)));
  }
  return {};
}

PromptRead RunningRequest::finish_prompt(size_t n_cached, Clock::time_point now) {
  prompt_is_read = true;
  first_logits = now;
  prompt_.n_tokens = request.prompt_ids.size();
  prompt_.n_cached = n_cached;
  prompt_.queue_seconds = seconds_between(submitted, started);
  prompt_.read_seconds = seconds_between(started, now);
  if (request.embedding) prompt_.embedding = unit_mean(hidden_sum_, prompt_.n_tokens);
  return std::move(prompt_);
}

}  // namespace mixtral
