// `tokenizer.json`, the serialised pipeline of Hugging Face's tokenizers library, from the metadata
// of a GGUF file.
#pragma once

#include <string>

#include "core/result.h"
#include "io/gguf.h"
#include "text/tokenizer.h"

namespace mixtral {

/// The text of the file. `tokenizer` must have been made from the same metadata.
Result<std::string> tokenizer_json(const GgufMetadata& metadata, const Tokenizer& tokenizer);

}  // namespace mixtral
