// Hugging Face folders: config.json, safetensors shards, tokenizer files.
#pragma once

#include <string>

#include "convert/model_source.h"
#include "convert/write_model.h"
#include "core/progress.h"
#include "io/json.h"

namespace mixtral {

/// config.json as transformers 4 and 5 both read it.
Json huggingface_config(const ModelSource& model, Type type);

/// write_model() for folders.
Result<WriteReport> write_huggingface(const ModelSource& model, const std::string& folder,
                                      const WriteOptions& options, Progress* progress);

}  // namespace mixtral
