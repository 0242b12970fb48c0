// Weights as the CPU backend keeps them: panels of 16 rows, matrix after matrix. Private to cpu/.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/function_ref.h"
#include "core/result.h"
#include "cpu/cpu_context.h"
#include "ops/load_rows.h"
#include "ops/weight.h"
#include "quant/panel.h"

namespace mixtral::cpu {

class CpuWeight final : public Weight {
 public:
  /// Reads, checks and repacks on all threads of the pool; or borrows the panels, if the source has
  /// them.
  static Result<std::unique_ptr<CpuWeight>> load(const CpuContext& context,
                                                 const WeightSource& source,
                                                 FunctionRef<void(uint64_t)>* on_bytes);
  /// Bytes of the panels of such a weight.
  static size_t planned_bytes(const WeightSource& source);

  size_t bytes() const override { return bytes_ + vector_.size() * sizeof(float); }
  std::string kernel() const override { return kernel_; }

  size_t n_panels() const { return panels_of(rows()); }
  const std::byte* panel(size_t matrix, size_t index) const {
    return begins_[matrix] + index * panel_bytes_[matrix];
  }
  Panels panels(size_t matrix, size_t first, size_t count, Streaming streaming) const {
    return {panel(matrix, first), count, panel_bytes_[matrix], cols(), streaming};
  }
  /// Of a weight of one row, as norms are.
  const float* vector() const { return vector_.data(); }

 private:
  explicit CpuWeight(const WeightSource& source);
  /// Calls body(matrix, panels, worker) for all panels, on all threads of the pool, and tells
  /// `on_bytes` of the stored bytes.
  Status for_each_span(const CpuContext& context, size_t n_panels_each,
                       FunctionRef<Status(size_t, PanelSpan, size_t)> body,
                       FunctionRef<void(uint64_t)>* on_bytes) const;
  Status borrow(const CpuContext& context, const WeightSource& source,
                FunctionRef<void(uint64_t)>* on_bytes);
  Status read(const CpuContext& context, const WeightSource& source,
              FunctionRef<void(uint64_t)>* on_bytes);
  void widen_vector();

  std::vector<const std::byte*> begins_;  // panels of each matrix
  std::vector<size_t> panel_bytes_;       // of each matrix: types may differ
  size_t bytes_;                          // of all panels
  AlignedBuffer panels_;                  // unless they are borrowed
  std::vector<std::shared_ptr<const std::byte>> borrowed_;
  std::vector<float> vector_;
  std::string kernel_;
};

}  // namespace mixtral::cpu
