// Which tensor of a new checkpoint has which name, type and weights: decided before a byte is
// written.
#pragma once

#include <string>
#include <vector>

#include "convert/weight_stream.h"
#include "convert/write_model.h"

namespace mixtral {

/// One tensor of the new checkpoint: some matrices of one weight.
struct PlannedTensor {
  std::string name;
  WeightId id;
  size_t first_matrix = 0, n_matrices = 1;
  WeightForm form;
  std::vector<uint64_t> shape;    ///< outermost dimension first
  std::vector<float> importance;  ///< of the columns of each matrix; empty: all alike

  uint64_t n_bytes() const;
};

struct WritePlan {
  std::vector<PlannedTensor> tensors;  ///< in the order they are written
  std::vector<std::string> notes;      ///< WriteReport::notes
  std::vector<std::string> warnings;   ///< WriteReport::warnings

  uint64_t n_bytes() const;
};

/// Reads vectors and routers where their values decide the type.
Result<WritePlan> plan_gguf(const ModelSource& model, const WriteOptions& options);
Result<WritePlan> plan_huggingface(const ModelSource& model, const WriteOptions& options);

/// Sends the bytes of one planned tensor to `sink`.
Status stream_tensor(const ModelSource& model, const PlannedTensor& tensor, ThreadPool& pool,
                     ByteSink sink);

}  // namespace mixtral
