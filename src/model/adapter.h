// A low-rank adapter in a backend's memory ("LoRA", arXiv:2106.09685).
#pragma once

#include <memory>
#include <vector>

#include "core/result.h"
#include "model/adapter_file.h"
#include "ops/backend.h"

namespace mixtral {

/// Immutable and thread-safe; only the backend that loaded it can use it.
class Adapter {
 public:
  /// Reads all values. Fails, naming the tensor, if one is not finite. `backend` must outlive the
  /// result, and has to load adapters before its first step as it does weights.
  static Result<std::unique_ptr<const Adapter>> load(const AdapterFile& file, Backend& backend);
  /// Bytes of memory that load() will take.
  static size_t planned_bytes(const AdapterFile& file, const Backend& backend);

  /// Rows of each A.
  size_t rank() const { return rank_; }
  /// Of attention's four projections, the experts' matrices or the output.
  LowRank change(WeightId id) const;

 private:
  struct Change {
    std::unique_ptr<Weight> a, b;
  };
  Adapter() = default;

  size_t rank_ = 0;
  std::vector<Change> changes_;  // by layer and role
};

}  // namespace mixtral
