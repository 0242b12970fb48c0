// The tokenizer files of a Hugging Face folder.
#pragma once

#include <map>
#include <string>

#include "convert/model_source.h"
#include "core/result.h"

namespace mixtral {

/// Contents by file name: copies of those in model.tokenizer_folder, and if tokenizer.json is not
/// among them, one made from the metadata with what belongs to it. Empty if the model has no
/// tokenizer. Fails with kUnsupported if it is one that this program cannot read.
Result<std::map<std::string, std::string>> huggingface_tokenizer_files(const ModelSource& model);

}  // namespace mixtral
