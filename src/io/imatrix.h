// Importance matrices: how large the inputs of each weight were, column by column, while a model
// read some text. GGUF files as llama.cpp's llama-imatrix writes them: both programs read each
// other's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/result.h"

namespace mixtral {

/// The inputs of one weight, a stack of matrices (one per expert, or just one).
struct InputSums {
  std::vector<float> squares;  ///< [n_matrices, cols]: sums over the rows seen
  std::vector<float> counts;   ///< [n_matrices]: rows seen

  size_t n_matrices() const { return counts.size(); }
  size_t cols() const { return squares.size() / counts.size(); }
};

struct ImportanceMatrix {
  std::string source_path;                   ///< the file it was read from, for messages
  std::map<std::string, InputSums> weights;  ///< by the name of the tensor in GGUF files
  std::vector<std::string> datasets;         ///< the texts that were read
  uint64_t n_chunks = 0;                     ///< stretches of text, each read from the start
  uint64_t chunk_tokens = 0;

  /// Fails, naming file and tensor, unless all numbers are finite and none is negative.
  static Result<ImportanceMatrix> read(const std::string& path);
  Status write(const std::string& path) const;
};

}  // namespace mixtral
