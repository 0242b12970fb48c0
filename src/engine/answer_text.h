// The text side of an answer: tokens in, certain characters out, until a stop string.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/stop_matcher.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace mixtral {

/// Without a tokenizer the text is empty and never stops. Not thread-safe.
class AnswerText {
 public:
  /// `tokenizer` may be null, else must outlive this.
  AnswerText(const Tokenizer* tokenizer, std::vector<std::string> stop, bool strip_leading_space)
      : matcher_(std::move(stop)) {
    if (tokenizer != nullptr) detokenizer_.emplace(*tokenizer, strip_leading_space);
  }

  /// The characters that `id` makes certain. No stop string begins in those of a token that may
  /// not stop; such tokens come first.
  std::string push(int32_t id, bool may_stop = true) {
    if (!detokenizer_) return {};
    std::string text = detokenizer_->push(id);
    return may_stop ? matcher_.push(text) : text;
  }
  /// What was held back, if no stop string ended the text.
  std::string finish() {
    if (!detokenizer_ || matcher_.stopped()) return {};
    std::string text = matcher_.push(detokenizer_->finish());
    return matcher_.stopped() ? text : text + matcher_.finish();
  }
  bool stopped() const { return matcher_.stopped(); }
  /// The stop string that ended the text; nullptr if none did.
  const std::string* found_stop() const { return matcher_.found(); }

 private:
  std::optional<Detokenizer> detokenizer_;
  StopMatcher matcher_;
};

}  // namespace mixtral
