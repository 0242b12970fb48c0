// Low-rank adapters on disk, as peft and mistral-finetune write them.
#pragma once

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/result.h"
#include "io/tensor_table.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "ops/weight.h"

namespace mixtral {

/// The change of one weight. Its matrices may be changed or not, each by itself.
struct AdapterChange {
  struct Matrices {
    const TensorEntry* a = nullptr;  ///< [rank, cols]; nullptr: no change
    const TensorEntry* b = nullptr;  ///< [rows, rank]
  };
  WeightId id;
  std::vector<Matrices> matrices;  ///< one for each expert, or just one
};

/// An opened adapter: everything but the values is checked. Immutable and thread-safe.
class AdapterFile {
 public:
  /// A folder of peft (adapter_model.safetensors with adapter_config.json) or of mistral-finetune
  /// (lora.safetensors, the scaling in params.json or else 2), or either's safetensors file. Fails,
  /// naming the tensor, if one has no place in the model that `config` describes, or not its shape.
  static Result<AdapterFile> open(const std::string& path, const ModelConfig& config);

  const std::string& path() const { return path_; }
  const std::vector<AdapterChange>& changes() const { return changes_; }
  /// Rows of A and columns of B, filled up with zeros to a multiple of 16.
  size_t rank() const;
  /// A, [rank, cols of the weight], and B, [rows of the weight, rank], scaled and with rows in
  /// interleaved rotary order; both in f32. They borrow from this.
  std::unique_ptr<WeightSource> source_a(const AdapterChange& change) const;
  std::unique_ptr<WeightSource> source_b(const AdapterChange& change) const;

 private:
  AdapterFile() = default;
  Status read_settings(const std::string& file, bool is_peft);
  Status find_changes(bool is_peft);
  using UsedTensors = std::unordered_set<const TensorEntry*>;
  Status find_change(WeightId id, bool is_peft, UsedTensors& used);
  Status check_shape(const TensorEntry& entry, uint64_t rows, uint64_t cols) const;
  Status check_shapes(const AdapterChange::Matrices& matrices, const MatrixShape& shape);
  Status check_all_used(const UsedTensors& used) const;

  std::string path_;
  ModelConfig config_;
  TensorTable tensors_;
  double scaling_ = 0;
  size_t stored_rank_ = 0;          // 0: what the first tensor says
  size_t half_order_head_dim_ = 0;  // of rows of wq and wk; 0: they are in interleaved order
  std::vector<AdapterChange> changes_;
};

}  // namespace mixtral
