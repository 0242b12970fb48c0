// Writes small low-rank adapters with random values, in the names of either trainer.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "io/json.h"
#include "model/config.h"
#include "support/tiny_checkpoint.h"

namespace mixtral::testing {

/// A and B of modules by their names in Hugging Face folders, "model.layers.0.self_attn.q_proj".
struct TinyAdapter {
  struct Change {
    TinyTensor a, b;  ///< [rank, cols], [rows, rank]
  };
  size_t rank = 0;
  double alpha = 0;
  std::map<std::string, Change> changes;

  /// Of every matrix that an adapter may change and whose name contains `part`.
  static TinyAdapter random(const ModelConfig& config, size_t rank, uint64_t seed,
                            const std::string& part = "");
  /// As peft has it: alpha / rank is the scaling.
  Json peft_config() const;
  std::map<std::string, TinyTensor> peft_tensors() const;
  void write_peft(const std::string& folder, const std::string& dtype = "F32") const;
  /// As mistral-finetune has it: rows of wq and wk in interleaved order, the scaling in
  /// params.json.
  void write_mistral(const std::string& folder, size_t head_dim) const;

  /// Adds scaling * B A to the weights of a checkpoint.
  void merge_into(std::map<std::string, TinyTensor>& tensors) const;
};

/// Values in F32, BF16 or F16.
void write_tensors(const std::string& path, const std::map<std::string, TinyTensor>& tensors,
                   const std::string& dtype = "F32");

}  // namespace mixtral::testing
