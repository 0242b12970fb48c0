// The tokenizer of a command that needs no model.
#pragma once

#include <memory>

#include "core/result.h"
#include "model_options.h"
#include "text/tokenizer.h"

namespace mixtral {

/// Of the file or folder given, else of the default model. Fails if there is none in it.
Result<std::unique_ptr<Tokenizer>> load_tokenizer(const ModelOptions& options);

}  // namespace mixtral
