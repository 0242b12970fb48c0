// A folder's tokenizer as the metadata of a GGUF file.
#pragma once

#include <cstddef>
#include <string>

#include "core/result.h"
#include "io/gguf.h"

namespace mixtral {

/// Adds the tokenizer.* keys for the tokenizer files of `folder`; none if it has no tokenizer. Ids
/// without a piece, up to `vocab_size`, get a name that no text contains. Fails if the tokenizer is
/// larger than that, or one that this program cannot read.
Status add_tokenizer_metadata(const std::string& folder, size_t vocab_size, GgufMetadata& metadata);

}  // namespace mixtral
