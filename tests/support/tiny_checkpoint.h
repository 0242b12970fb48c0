// Writes small Hugging Face folders with random weights, whole or broken in one chosen way.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "io/json.h"
#include "io/safetensors.h"

namespace mixtral::testing {

/// A float tensor of the folder to be written.
struct TinyTensor {
  std::vector<uint64_t> shape;
  std::vector<float> values;
};

/// One layer, dim 8, 2 heads of 4, 1 key-value head, hidden_dim 12, 3 experts of which 2 answer,
/// vocabulary 16.
struct TinyCheckpoint {
  Json config;
  std::map<std::string, TinyTensor> tensors;

  static TinyCheckpoint mixtral();
  /// The same without experts.
  static TinyCheckpoint llama();

  /// Replaces the experts' and router's tensors by the fused ones of newer files.
  void fuse_experts();
  /// Writes config.json and the tensors, in `n_shards` files with an index if more than one.
  void write(const std::string& folder, size_t n_shards = 1) const;
};

void write_text(const std::string& path, std::string_view text);

}  // namespace mixtral::testing
