// GGUF files: the config and whatever else is known of a model as metadata, then its tensors.
#pragma once

#include <string>

#include "convert/model_source.h"
#include "convert/write_model.h"
#include "core/progress.h"

namespace mixtral {

/// The model's metadata with the keys of its config set ("llama.*", general.architecture).
GgufMetadata gguf_metadata(const ModelSource& model);

/// write_model() for GGUF files.
Result<WriteReport> write_gguf(const ModelSource& model, const std::string& path,
                               const WriteOptions& options, Progress* progress);

}  // namespace mixtral
