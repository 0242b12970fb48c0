// Texts and lists of ids as prompts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/fields.h"
#include "text/tokenizer.h"

namespace mixtral {

/// "<s>" and the like in `text` are control tokens here. BOS comes first, where the tokenizer adds
/// one and `add_bos` says so, unless the text begins with it already.
std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view text, bool add_bos);

struct GivenPrompt {
  std::string text;  ///< empty if ids were given
  std::vector<int32_t> ids;
  bool is_text = false;
  bool hides_bos = false;  ///< the first id is not the client's
};

/// A string, strings, ids or lists of ids: at most `max_prompts`, none of them without tokens or
/// with ids that the vocabulary does not have. What is wrong is noted in `fields`, and the list is
/// then of no use. Texts get BOS if `add_bos`.
std::vector<GivenPrompt> read_prompts(Fields& fields, std::string_view key,
                                      const Tokenizer& tokenizer, bool add_bos);

/// A list of ids of the vocabulary.
std::vector<int32_t> read_ids(Fields& fields, std::string_view key, const Json& list,
                              size_t vocab_size);

}  // namespace mixtral
