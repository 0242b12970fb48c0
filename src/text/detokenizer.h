// Token ids to text as they come, for streams.
#pragma once

#include <string>

#include "text/tokenizer.h"

namespace mixtral {

/// Only whole UTF-8 characters come out; what push() and finish() gave, put together, is the whole
/// decode. Not thread-safe.
class Detokenizer {
 public:
  /// `tokenizer` must outlive this. With `strip_leading_space` the ▁ that begins the text is left
  /// out, as sentencepiece decodes; a text that goes on after another keeps it.
  Detokenizer(const Tokenizer& tokenizer, bool strip_leading_space)
      : tokenizer_(&tokenizer), may_strip_(strip_leading_space) {}

  /// The characters that `id` completes, often none or several.
  std::string push(int32_t id);
  /// U+FFFD for an unfinished character at the end; then a new text may begin, nothing stripped.
  std::string finish();

 private:
  /// Moves whole characters from pending_ to `out`; unfinished ones too if `all`.
  void take_characters(bool all, std::string& out);

  const Tokenizer* tokenizer_;
  bool may_strip_;
  std::string pending_;  // at most one unfinished character between calls
};

}  // namespace mixtral
