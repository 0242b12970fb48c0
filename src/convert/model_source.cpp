#include "convert/model_source.h"

#include <filesystem>

#include "convert/gguf_tokenizer.h"

namespace mixtral {
namespace {

// Of the file and not of the model: the writer makes one file, whatever the model came in.
bool describes_file(std::string_view key) {
  return key.starts_with("split.") || key == kTypesOfGgufKey;
}

Result<bool> has_gguf_types(const Checkpoint& checkpoint) {
  if (checkpoint.kind() == CheckpointKind::kGguf) return true;
  const auto value = checkpoint.metadata().get_bool(kTypesOfGgufKey);
  if (!value) return with_context(value.error(), checkpoint.path());
  return value->value_or(false);
}

std::string folder_name(const std::string& path) {
  const auto folder = std::filesystem::path(path).lexically_normal();
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

}  // namespace

Result<ModelSource> model_source(const Checkpoint& checkpoint) {
  ModelSource model;
  model.config = checkpoint.config();
  model.weight = [&checkpoint](WeightId id) { return checkpoint.source(id); };
  if (checkpoint.kind() == CheckpointKind::kGguf || checkpoint.kind() == CheckpointKind::kPacked) {
    for (const auto& [key, value] : checkpoint.metadata().items())
      if (!describes_file(key)) model.metadata.set(key, value);
    MIXTRAL_TRY(model.keeps_gguf_types, has_gguf_types(checkpoint));
    return model;
  }
  model.metadata.set("general.architecture", std::string("llama"));
  model.metadata.set("general.name", folder_name(checkpoint.path()));
  model.tokenizer_folder = checkpoint.path();
  Status added = add_tokenizer_metadata(checkpoint.path(), model.config.vocab_size, model.metadata);
  if (!added && added.error().code == ErrorCode::kUnsupported)
    model.tokenizer_problem = added.error().message;
  else
    MIXTRAL_TRY(std::move(added));
  return model;
}

}  // namespace mixtral
