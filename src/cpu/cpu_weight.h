// Weights as the CPU backend keeps them: panels of 16 rows, matrix after matrix. Private to cpu/.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/function_ref.h"
#include "core/result.h"
#include "cpu/cpu_context.h"
#include "ops/weight.h"

namespace mixtral::cpu {

class CpuWeight final : public Weight {
 public:
  /// Reads, checks and repacks on all threads of the pool.
  static Result<std::unique_ptr<CpuWeight>> load(const CpuContext& context,
                                                 const WeightSource& source,
                                                 FunctionRef<void(uint64_t)>* on_bytes);
  /// Bytes of the panels of such a weight.
  static size_t planned_bytes(const WeightSource& source);

  size_t bytes() const override;
  std::string kernel() const override { return kernel_; }

  size_t n_panels() const { return (rows() + kPanelRows - 1) / kPanelRows; }
  const std::byte* panel(size_t matrix, size_t index) const {
    return panels_.data() + begins_[matrix] + index * panel_bytes_[matrix];
  }
  /// Of a weight of one row, as norms are.
  const float* vector() const { return vector_.data(); }

 private:
  explicit CpuWeight(const WeightSource& source);
  Status read_panels(const WeightSource& source, size_t matrix, size_t first_panel, size_t n_panels,
                     std::span<std::byte> staging);

  std::vector<size_t> begins_;       // byte offset of each matrix
  std::vector<size_t> panel_bytes_;  // of each matrix: types may differ
  AlignedBuffer panels_;
  std::vector<float> vector_;
  std::string kernel_;
};

}  // namespace mixtral::cpu
