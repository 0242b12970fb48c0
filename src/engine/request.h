// What can be asked of an Engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/sampler.h"

namespace mixtral {

class Grammar;

using Clock = std::chrono::steady_clock;

/// One prompt and what to do with it. What is left out means "as the model does it".
struct Request {
  std::vector<int32_t> prompt_ids;   ///< at least one
  SamplingOptions sampling;          ///< answer i of several draws from seed + i
  size_t max_tokens = 0;             ///< 0: until the context is full
  size_t min_tokens = 0;             ///< no end of answer, no stop string before so many
  size_t n_answers = 1;              ///< they share the pages of the prompt
  std::vector<std::string> stop;     ///< the answer ends before the first of these; may span tokens
  std::vector<int32_t> stop_ids;     ///< these end the answer as the model's own end token does
  bool ignore_end = false;           ///< go on after the model's end-of-answer token
  bool strip_leading_space = false;  ///< of the first piece: chat answers of SentencePiece models
  /// What the answer must match, to its end; null: anything.
  std::shared_ptr<const Grammar> grammar;

  /// Only read the prompt: no answers. Max_tokens and what belongs to answers do not matter then.
  bool prompt_only = false;
  /// Log-probability of every prompt token but the first, with so many alternatives.
  std::optional<size_t> n_prompt_logprobs;
  /// Mean over the prompt of the final hidden states, scaled to length 1.
  bool embedding = false;
  /// Experts and weights of every token that is computed.
  bool routing = false;

  bool speculate = true;  ///< if the engine does; the answer is the same either way
  std::string adapter;    ///< one of EngineOptions::adapters; empty: its default_adapter
  /// Prompts share cached pages with those of the same salt and adapter only.
  std::string cache_salt;
  std::string client;  ///< clients take turns; all requests with one name are one client
  int priority = 0;    ///< higher goes first
  /// Ends the request with what it has by then, waiting or running.
  std::optional<Clock::time_point> deadline;
};

}  // namespace mixtral
