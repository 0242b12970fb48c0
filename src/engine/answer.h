// What comes back from an Engine, event by event.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"
#include "engine/sampler.h"

namespace mixtral {

enum class FinishReason { kStop, kLength, kCancelled, kDeadline, kError };
std::string_view finish_reason_name(FinishReason reason);  // "stop", "length", ...

/// Experts of one token, [n_layers, n_experts_per_token] row by row, most probable first.
struct TokenRouting {
  std::vector<int32_t> expert_ids;
  std::vector<float> probs;
};

/// The prompt is read; the first event unless the request ends before.
struct PromptRead {
  size_t n_tokens = 0;
  size_t n_cached = 0;  ///< of these, whose keys and values were in the cache
  double queue_seconds = 0, read_seconds = 0;
  /// Of every prompt token, if asked for; the first has no log-probability and no alternatives.
  std::vector<SampledToken> logprobs;
  std::vector<float> embedding;  ///< [dim], if asked for
  /// Of the tokens from n_cached on, if asked for.
  std::vector<TokenRouting> routing;
};

/// One more token of an answer.
struct AnswerToken {
  size_t answer = 0;  ///< in [0, n_answers)
  SampledToken token;
  std::string text;  ///< whole characters that became certain with this token; may be empty
  std::optional<TokenRouting> routing;  ///< of the step that computed this token's logits
  uint64_t step = 0;  ///< that computed this token's logits; the engine counts its steps from 1
};

/// The end of one answer; the last event about it.
struct AnswerEnd {
  size_t answer = 0;
  FinishReason reason = FinishReason::kStop;
  std::string text;  ///< characters that were held back until now
  /// Which of Request::stop ended it, or which token.
  std::optional<std::string> stop;
  std::optional<int32_t> stop_id;
  std::optional<Error> error;  ///< with kError
  size_t n_tokens = 0;         ///< the end-of-answer token included
  double seconds = 0;          ///< from the first logits to the end
};

using StreamEvent = std::variant<PromptRead, AnswerToken, AnswerEnd>;

}  // namespace mixtral
