// The token ids that a command was given: as ids, in a file of ids, or as text to be encoded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "text/tokenizer.h"

namespace mixtral {

/// The ids of --ids, or else of --ids-file. Fails if there are none.
Result<std::vector<int32_t>> given_ids(const std::string& ids, const std::string& ids_file);

/// The text as it is, after BOS if the tokenizer adds one.
std::vector<int32_t> encode_with_bos(std::string_view text, const Tokenizer& tokenizer);

/// Fails, naming the ways out, where there is no tokenizer.
Status need_tokenizer(const Tokenizer* tokenizer);

}  // namespace mixtral
