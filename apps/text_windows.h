// The text that a model is measured with, cut into windows before any weight is loaded: what is
// wrong with it shows at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"
#include "eval/windows.h"
#include "model_options.h"

namespace mixtral {

/// Of a text file or pipe ("-": standard input), as the model's tokenizer reads it.
Result<Windows> windows_of_text(const ModelOptions& model, const std::string& text_file,
                                WindowOptions options);
/// Of ids, with the BOS of the model's tokenizer, if there is one.
Result<Windows> windows_of_ids(const ModelOptions& model, std::vector<int32_t> ids,
                               WindowOptions options);

}  // namespace mixtral
