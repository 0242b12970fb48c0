// Tokens with the part of the text that each stands for.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sampler.h"
#include "io/json.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace mixtral {

struct ShownToken {
  SampledToken token;
  std::string bytes;  ///< of the text; not always whole characters; empty for control tokens
  bool is_control = false;
  bool begins_text = false;  ///< a leading space is not part of it, nor of its alternatives
};

/// Holds an answer's tokens until their text is certain. Not thread-safe.
class TokenQueue {
 public:
  /// `tokenizer` must outlive this. With `strip_leading_space` the first token's ▁ is not part of
  /// the text.
  TokenQueue(const Tokenizer& tokenizer, bool strip_leading_space)
      : tokenizer_(&tokenizer),
        detokenizer_(tokenizer, strip_leading_space),
        begins_text_(strip_leading_space) {}

  void push(SampledToken token);
  /// Those that begin in the first `n_text_bytes` of the text. With `last` that is all of it: a
  /// token that reaches beyond is cut, and control tokens at its end come too.
  std::vector<ShownToken> take(size_t n_text_bytes, bool last);

 private:
  struct Waiting {
    ShownToken shown;
    size_t begin;  // of its text; of tokens that share a character, the character's
  };
  const Tokenizer* tokenizer_;
  Detokenizer detokenizer_;
  bool begins_text_;
  size_t n_text_bytes_ = 0;  // of the tokens pushed, whole characters only
  std::vector<Waiting> waiting_;
};

ShownToken shown_token(const Tokenizer& tokenizer, SampledToken token, bool begins_text);

/// UTF-8 whatever the bytes: what is broken becomes U+FFFD.
std::string valid_utf8(std::string_view bytes);
size_t count_characters(std::string_view bytes);
/// No infinity and no less than -9999, the least that clients expect.
double finite_logprob(double logprob);

/// {"token", "token_id", "logprob", "bytes", "top_logprobs"} of chat answers.
Json chat_logprob_json(const Tokenizer& tokenizer, const ShownToken& shown);

/// Of each token of a prompt, as vLLM has it: {"ID": {"logprob", "rank", "decoded_token"}} of the
/// most probable ones and the prompt's own, whose rank is null if it is not one of them; null where
/// nothing comes before it.
Json prompt_logprobs_json(const Tokenizer& tokenizer, std::span<const SampledToken> tokens,
                          bool first_has_logprob);

/// The four arrays of the completions endpoint, of any number of tokens one after another.
class LegacyLogprobs {
 public:
  explicit LegacyLogprobs(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  /// `text`: what is to be seen of the token.
  void add(const ShownToken& shown, std::string_view text, bool has_logprob);
  /// What was added since the last take.
  Json take();
  bool empty() const { return tokens_.empty(); }

 private:
  const Tokenizer* tokenizer_;
  Json tokens_ = Json::array(), logprobs_ = Json::array(), top_ = Json::array(),
       offsets_ = Json::array();
  size_t n_characters_ = 0;
};

}  // namespace mixtral
