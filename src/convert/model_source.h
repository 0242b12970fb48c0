// A model on its way to disk, wherever it comes from: another checkpoint, a dense model whose
// experts are copies, or a random generator.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "io/gguf.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "ops/weight.h"

namespace mixtral {

/// The key of a packed model that keeps ModelSource::keeps_gguf_types.
inline constexpr std::string_view kTypesOfGgufKey = "mixtral.types_of_gguf";

struct ModelSource {
  ModelConfig config;
  /// What a GGUF file or a packed model says besides the config: general.* and tokenizer.* keys.
  GgufMetadata metadata;
  /// Rows of wq and wk in interleaved order. Every id of all_weights(config) must be answered.
  std::function<std::unique_ptr<WeightSource>(WeightId)> weight;
  /// True if `weight` gives each weight in the very type it is to have in a GGUF file.
  bool keeps_gguf_types = false;
  /// The folder whose tokenizer files are copied into a Hugging Face folder; empty: they are made
  /// from the metadata.
  std::string tokenizer_folder;
  /// Why the metadata lacks the tokenizer that there is; empty if it does not.
  std::string tokenizer_problem;
};

/// The model of `checkpoint`, which must outlive it. Folders are searched for a tokenizer; one
/// without, or with one of a kind unknown here, is no error. Fails if tokenizer files contradict
/// themselves.
Result<ModelSource> model_source(const Checkpoint& checkpoint);

}  // namespace mixtral
