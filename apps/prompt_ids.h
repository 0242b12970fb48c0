// The token ids that a command was given: as ids, in a file of ids, or as text to be encoded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "text/tokenizer.h"

namespace mixtral {

/// One is not empty, or there are no ids.
struct GivenIds {
  std::string ids;        ///< "1,2,3"
  std::string ids_file;   ///< JSON
  std::string text_file;  ///< "-": standard input
};

/// `tokenizer` may be null where no text is given. Fails if there are no ids at all.
Result<std::vector<int32_t>> given_ids(const GivenIds& given, const Tokenizer* tokenizer);

/// The text as it is, after BOS if the tokenizer adds one.
std::vector<int32_t> encode_with_bos(std::string_view text, const Tokenizer& tokenizer);

/// Fails, naming the ways out, where there is no tokenizer.
Status need_tokenizer(const Tokenizer* tokenizer);

}  // namespace mixtral
