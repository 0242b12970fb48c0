// A request on its way through the engine, shared by the sequences of its answers.
#pragma once

#include <memory>
#include <vector>

#include "engine/answer.h"
#include "engine/request.h"
#include "engine/step_recorder.h"
#include "engine/stream_state.h"

namespace mixtral {

class Adapter;

/// The engine's thread alone touches it, but for `stream`.
struct RunningRequest {
  bool wants_hidden() const { return request.embedding && !prompt_is_read; }

  /// Takes what was asked of the prompt from `n_rows` rows of a step, which begin at `first_row`
  /// and at position `first_position` of the prompt. `logits` [n_rows, vocab], if log-probabilities
  /// were asked for. Rows that were computed before are left out. Fails if a logit is not finite.
  Status add_prompt_rows(const StepRecorder& step, size_t first_row, size_t n_rows,
                         size_t first_position, TensorView<const float> logits);
  /// All of the prompt is there: what the caller is told.
  PromptRead finish_prompt(size_t n_cached, Clock::time_point now);

  Request request;
  const Adapter* adapter = nullptr;  ///< of request.adapter
  std::shared_ptr<StreamState> stream = std::make_shared<StreamState>();
  size_t n_unfinished = 1;  ///< answers; without any the reading itself counts as one
  Clock::time_point submitted;
  Clock::time_point started;  ///< of the first step
  Clock::time_point first_logits;
  bool has_started = false, prompt_is_read = false;

 private:
  Status add_logprobs(size_t position, std::span<const float> logits);

  PromptRead prompt_;
  size_t n_rows_added_ = 0;         // of the prompt, from the first that was computed
  std::vector<double> hidden_sum_;  // [dim]
  std::vector<TokenLogprob> scratch_;
};

}  // namespace mixtral
