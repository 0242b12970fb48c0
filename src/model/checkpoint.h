// A model on disk, in any of the formats, seen one way: a config and weights by role.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "io/checkpoint_kind.h"
#include "io/gguf.h"
#include "io/mapped_file.h"
#include "io/tensor_table.h"
#include "model/config.h"
#include "ops/weight.h"

namespace mixtral {

/// What a weight is for. Each format's names for them stand in one table, model/tensor_names.cpp.
enum class Role {
  kTokenEmbedding,  ///< [vocab, D]
  kOutputNorm,      ///< [D]
  kOutput,          ///< [vocab, D]; with tied embeddings the same tensor as kTokenEmbedding
  kAttentionNorm,   ///< [D], per layer, like all that follow
  kWq,              ///< [n_heads * head_dim, D]
  kWk,              ///< [n_kv_heads * head_dim, D]
  kWv,              ///< [n_kv_heads * head_dim, D]
  kWo,              ///< [D, n_heads * head_dim]
  kFfnNorm,         ///< [D]
  kRouter,          ///< [E, D]; absent in dense models
  kWGate,           ///< E x [H, D]
  kWUp,             ///< E x [H, D]
  kWDown,           ///< E x [D, H]
};
std::string_view role_name(Role role);
/// True for norms, [D].
bool is_vector(Role role);
/// True for the matrices of the feed-forward block, of which there is one for each expert.
bool is_expert(Role role);

/// The matrices of a weight: one for each expert, or just one.
struct MatrixShape {
  size_t n_matrices, rows, cols;
};
MatrixShape matrix_shape(const ModelConfig& config, Role role);

/// One weight of a model: the role and, if it belongs to one, the layer.
struct WeightId {
  Role role;
  size_t layer = 0;
};
/// Every weight of such a model, in the order of the forward pass.
std::vector<WeightId> all_weights(const ModelConfig& config);

/// An opened checkpoint: headers read and checked, weights still on disk. Immutable and
/// thread-safe.
class Checkpoint {
 public:
  /// A GGUF file (or the first of a split one), a packed model, a Hugging Face folder or a Mistral
  /// folder. Fails if any weight is missing or its shape contradicts the config.
  static Result<Checkpoint> open(const std::string& path);

  const std::string& path() const { return path_; }
  CheckpointKind kind() const { return kind_; }
  const ModelConfig& config() const { return config_; }
  /// "mixtral", "mistral" or "llama".
  std::string_view architecture() const;
  const TensorTable& tensors() const { return tensors_; }
  /// Of a GGUF file or a packed model; empty for folders.
  const GgufMetadata& metadata() const { return metadata_; }
  /// What is odd but not wrong, for the user's eyes.
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// Rows of wq and wk come in interleaved rotary order whatever the file's. The source borrows
  /// from this checkpoint.
  std::unique_ptr<WeightSource> source(WeightId id) const;

 private:
  Checkpoint() = default;
  Status open_gguf();
  Status open_folder();
  Status open_packed();
  Status check_weights() const;

  std::string path_;
  CheckpointKind kind_ = CheckpointKind::kGguf;
  ModelConfig config_;
  GgufMetadata metadata_;
  TensorTable tensors_;
  std::shared_ptr<const MappedFile> mapping_;  // of a packed model
  std::vector<std::string> warnings_;
};

}  // namespace mixtral
