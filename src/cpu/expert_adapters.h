// What adapters add to the products of the experts. Private to cpu/.
#pragma once

#include <span>

#include "core/arena.h"
#include "cpu/activation_rows.h"
#include "cpu/cpu_context.h"
#include "cpu/grouping.h"
#include "ops/backend.h"

namespace mixtral::cpu {

/// Part of the product of one expert's matrix: some of its panels, by rows in expert order that the
/// expert has. The numbers of a row begin `stride` after those of the row before.
struct ExpertTile {
  size_t expert, first_panel, n_panels;
  size_t first_row, n_rows;
  size_t stride;
};

/// The changes of one step. Rows of the same adapter that chose the same expert lie side by side in
/// expert order. Of each change the inner product, a x, is made once, by all threads; each tile
/// then adds its part of b (a x). Without adapters every call does nothing.
class ExpertAdapters {
 public:
  /// Takes its memory from the arena; `n_choices` are those of a token.
  ExpertAdapters(const CpuContext& context, Arena& arena, std::span<const ExpertAdapter> adapters,
                 const Grouping& groups, size_t n_choices);
  /// What the constructor takes, at most.
  static size_t bytes(const StepLimits& limits);

  /// Of gate and up, from the experts' inputs in expert order.
  void read_inputs(const ActivationRows& inputs);
  /// Of down, from what gate and up made of them.
  void read_hidden(const ActivationRows& hidden);

  /// Adds to a tile of a product; `scratch` has room for a tile. For any thread.
  void add_gate(const ExpertTile& tile, float* scratch, float* y) const;
  void add_up(const ExpertTile& tile, float* scratch, float* y) const;
  void add_down(const ExpertTile& tile, float* scratch, float* y) const;

 private:
  struct Rows {
    size_t first, end;
  };
  Rows rows_of(const ExpertAdapter& adapter, size_t expert) const;
  void multiply_a(LowRank ExpertAdapter::*change, const ActivationRows& x,
                  TensorView<float> inner) const;
  void add(LowRank ExpertAdapter::*change, TensorView<float> inner, const ExpertTile& tile,
           float* scratch, float* y) const;

  const CpuContext& context_;
  std::span<const ExpertAdapter> adapters_;
  const Grouping& groups_;
  size_t n_choices_;                    // of a token
  TensorView<float> gate_, up_, down_;  // inner products, by rows in expert order
};

}  // namespace mixtral::cpu
