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

  /// The characters that `id` makes certain.
  std::string push(int32_t id) {
    return detokenizer_ ? matcher_.push(detokenizer_->push(id)) : std::string();
  }
  /// What was held back, if no stop string ended the text.
  std::string finish() {
    if (!detokenizer_ || matcher_.stopped()) return {};
    std::string text = matcher_.push(detokenizer_->finish());
    return matcher_.stopped() ? text : text + matcher_.finish();
  }
  bool stopped() const { return matcher_.stopped(); }

 private:
  std::optional<Detokenizer> detokenizer_;
  StopMatcher matcher_;
};

}  // namespace mixtral
