// Which experts the tokens of an answer went to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/answer.h"
#include "model/config.h"
#include "text/tokenizer.h"

namespace mixtral {

/// The answer's tokens with their experts in `layer`, then the load of each expert. The last tokens
/// may have no routing.
std::string routing_text(const std::vector<TokenRouting>& routing,
                         const std::vector<int32_t>& token_ids, size_t layer,
                         const Tokenizer& tokenizer, const ModelConfig& config);

}  // namespace mixtral
