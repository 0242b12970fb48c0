// Which format a path holds.
#pragma once

#include <string>

#include "core/result.h"

namespace mixtral {

enum class CheckpointKind {
  kGguf,         ///< a GGUF file
  kHuggingFace,  ///< a folder with config.json
  kMistral,      ///< a folder with params.json
  kPacked,       ///< a packed model
};

/// Looks at names and first bytes only. Anything else is refused in one line that says what was
/// found and what is expected. A folder with both configs is what its weights are named as.
Result<CheckpointKind> detect_checkpoint(const std::string& path);

}  // namespace mixtral
