// From each format's own description of a model to ModelConfig. Private to model/.
#pragma once

#include <string>
#include <vector>

#include "core/result.h"
#include "io/gguf.h"
#include "io/json.h"
#include "model/config.h"

namespace mixtral {

/// From the keys "llama.*" of a GGUF file or a packed model. `vocab_size` comes from the token list
/// if its own key is missing.
Result<ModelConfig> read_gguf_config(const std::string& path, const GgufMetadata& metadata,
                                     const TensorTable& tensors);

/// From a Hugging Face folder's config.json, which lies at `path`. Adds what is odd but not wrong
/// to `warnings`.
Result<ModelConfig> read_hugging_face_config(const std::string& path, const Json& json,
                                             std::vector<std::string>& warnings);

/// From a Mistral folder's params.json, which lies at `path`.
Result<ModelConfig> read_mistral_config(const std::string& path, const Json& json);

}  // namespace mixtral
