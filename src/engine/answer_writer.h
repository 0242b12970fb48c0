// One answer in the making: from rows of logits to tokens, text and an end.
#pragma once

#include <optional>
#include <vector>

#include "engine/answer.h"
#include "engine/answer_text.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "grammar/grammar_matcher.h"

namespace mixtral {

/// What an answer is written with.
struct AnswerSetting {
  const Tokenizer* tokenizer = nullptr;  ///< may be null, else must outlive the answer
  size_t vocab_size = 0;
  size_t max_tokens = 0;  ///< at least 1
};

/// Not thread-safe.
class AnswerWriter {
 public:
  /// Answer `index` of `request`, which must be valid and outlive this. `matcher` is at the start
  /// of the request's grammar, if it has one.
  AnswerWriter(const Request& request, size_t index, const AnswerSetting& setting,
               std::optional<GrammarMatcher> matcher);

  size_t index() const { return index_; }
  /// Tokens that may still come, at least 1 before the end.
  size_t n_left() const { return setting_.max_tokens - n_tokens_; }
  /// The next token; end() tells whether it was the last. Fails as Sampler::sample does.
  Result<AnswerToken> next(std::span<const float> logits);
  /// How the answer ended by itself; without `seconds`.
  const std::optional<AnswerEnd>& end() const { return end_; }
  /// The end that comes from outside.
  AnswerEnd end_early(FinishReason reason);

 private:
  TokenMask allowed_tokens();
  bool ends_answer(int32_t id) const;
  AnswerEnd make_end(FinishReason reason) const;

  const Request& request_;
  const size_t index_;
  const AnswerSetting setting_;
  Sampler sampler_;
  AnswerText text_;
  size_t n_tokens_ = 0;
  std::optional<GrammarMatcher> matcher_;
  std::vector<uint64_t> no_end_mask_;  // all tokens but those that end the answer
  std::vector<uint64_t> mask_;         // scratch of allowed_tokens()
  std::optional<AnswerEnd> end_;
};

}  // namespace mixtral
