#include "cpu/experts.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "cpu/activation_rows.h"
#include "cpu/cpu_weight.h"
#include "cpu/expert_adapters.h"
#include "cpu/grouping.h"
#include "cpu/matmul.h"

namespace mixtral::cpu {
namespace {

// Hidden columns of one gate-and-up task: a whole scale block, so that the task can quantise what
// it made.
constexpr size_t kSliceCols = 256;
constexpr size_t kSlicePanels = kSliceCols / kPanelRows;
// Floats from row to row of a task's tile. Rows a power of two apart would share a few places of
// the cache.
constexpr size_t kTileStride = kSliceCols + 16;

// Rows in expert order, in each format that the active experts' matrices of these weights want, and
// in f32 if there are adapters.
class GroupedRows {
 public:
  GroupedRows(const CpuContext& context, Arena& arena,
              std::initializer_list<const CpuWeight*> weights, const Grouping& groups,
              bool has_adapters) {
    const auto need = [&](ActivationFormat format, size_t cols) {
      ActivationRows& rows = of(format);
      if (rows.n_rows() == 0) rows = ActivationRows(arena, format, groups.pairs.size(), cols);
    };
    for (const CpuWeight* weight : weights) {
      if (has_adapters) need(ActivationFormat::kF32, weight->cols());
      for (const uint32_t expert : groups.experts) {
        need(context.format(weight->type(expert)), weight->cols());
      }
    }
  }
  ActivationRows& of(ActivationFormat format) { return rows_[static_cast<size_t>(format)]; }
  std::span<ActivationRows> all() { return rows_; }  // those without rows are not in use

 private:
  std::array<ActivationRows, 3> rows_;
};

class ExpertsStep {
 public:
  ExpertsStep(const CpuContext& context, Arena& arena, const ExpertWeights& weights,
              const Routing& routing)
      : context_(context),
        arena_(arena),
        gate_(static_cast<const CpuWeight&>(*weights.w_gate)),
        up_(static_cast<const CpuWeight&>(*weights.w_up)),
        down_(static_cast<const CpuWeight&>(*weights.w_down)),
        routing_(routing),
        groups_(group_by_expert(arena, routing, gate_.n_matrices())),
        has_adapters_(!weights.adapters.empty()),
        inputs_(context, arena, {&gate_, &up_}, groups_, has_adapters_),
        hidden_(context, arena, {&down_}, groups_, has_adapters_),
        adapters_(context, arena, weights.adapters, groups_, routing.expert_ids.cols()),
        outputs_(arena.take_matrix<float>(groups_.pairs.size(), down_.rows())),
        scratch_(arena.take<float>(context.pool.size() * kScratchFloats)) {}

  void run(TensorView<const float> x, TensorView<float> residual) {
    if (context_.observer != nullptr) observe(x);
    gather(x);
    adapters_.read_inputs(inputs_.of(ActivationFormat::kF32));
    gate_and_up();
    adapters_.read_hidden(hidden_.of(ActivationFormat::kF32));
    down();
    combine(residual);
  }

  static constexpr size_t kTileFloats = kRowTile * kTileStride;
  // Two tiles, one for what adapters add, and what exact mode widens.
  static constexpr size_t kScratchFloats = 3 * kTileFloats + kWidenCols * kPanelRows;

 private:
  const ActivationRows& input(const CpuWeight& weight, size_t expert) {
    return inputs_.of(context_.format(weight.type(expert)));
  }
  ActivationRows& hidden(size_t expert) { return hidden_.of(context_.format(down_.type(expert))); }

  // Shows the inputs of gate and up to the observer, a task for some columns of one expert.
  void observe(TensorView<const float> x) {
    const size_t k = routing_.expert_ids.cols();
    const size_t slices = (x.cols() + kSliceCols - 1) / kSliceCols;
    context_.pool.for_each(groups_.experts.size() * slices, [&](size_t task, size_t) {
      const size_t expert = groups_.experts[task / slices];
      const size_t first_col = task % slices * kSliceCols;
      const size_t n_cols = std::min(kSliceCols, x.cols() - first_col);
      for (size_t i = groups_.offsets[expert]; i < groups_.offsets[expert + 1]; ++i) {
        const TensorView<const float> row(x.row(groups_.pairs[i] / k) + first_col, 1, n_cols);
        context_.observer->on_inputs(gate_, expert, first_col, row);
        context_.observer->on_inputs(up_, expert, first_col, row);
      }
    });
  }

  // Each token is quantised once; its row is copied to every expert that it chose.
  void gather(TensorView<const float> x) {
    const size_t k = routing_.expert_ids.cols();
    for (ActivationRows& rows : inputs_.all()) {
      if (rows.n_rows() == 0) continue;
      const ActivationRows tokens = make_activation_rows(context_, arena_, rows.format(), x);
      for (size_t i = 0; i < groups_.pairs.size(); ++i) {
        rows.copy_row(i, tokens, groups_.pairs[i] / k);
      }
    }
  }

  void gate_and_up() {
    const size_t slices = (gate_.rows() + kSliceCols - 1) / kSliceCols;
    context_.pool.for_each(groups_.experts.size() * slices, [&](size_t task, size_t worker) {
      const size_t expert = groups_.experts[task / slices];
      float* scratch = scratch_.data() + worker * kScratchFloats;
      for_row_tiles(groups_.count(expert), [&](size_t row, size_t n) {
        gate_and_up_tile(expert, task % slices, groups_.offsets[expert] + row, n, scratch);
      });
    });
  }

  void gate_and_up_tile(size_t expert, size_t slice, size_t first_row, size_t n_rows,
                        float* scratch) {
    const size_t first_panel = slice * kSlicePanels;
    const size_t n_panels = std::min(kSlicePanels, gate_.n_panels() - first_panel);
    const size_t n_cols = std::min(kSliceCols, gate_.rows() - slice * kSliceCols);
    float* gate = scratch;
    float* up = scratch + kTileFloats;
    float* change = up + kTileFloats;
    float* widened = change + kTileFloats;
    multiply(context_, {gate_, expert, first_panel, n_panels},
             input(gate_, expert).view(first_row, n_rows), widened, gate, kTileStride);
    multiply(context_, {up_, expert, first_panel, n_panels},
             input(up_, expert).view(first_row, n_rows), widened, up, kTileStride);
    const ExpertTile tile = {expert, first_panel, n_panels, first_row, n_rows, kTileStride};
    adapters_.add_gate(tile, change, gate);
    adapters_.add_up(tile, change, up);
    for (size_t r = 0; r < n_rows; ++r) {
      float* h = gate + r * kTileStride;
      context_.kernels.swiglu(h, up + r * kTileStride, n_cols, h);
      hidden(expert).fill(context_.kernels, first_row + r, slice * kSliceCols, n_cols, h);
      if (has_adapters_ && hidden(expert).format() != ActivationFormat::kF32) {
        hidden_.of(ActivationFormat::kF32)
            .fill(context_.kernels, first_row + r, slice * kSliceCols, n_cols, h);
      }
    }
    if (context_.observer != nullptr)  // this task owns the columns
      context_.observer->on_inputs(down_, expert, slice * kSliceCols,
                                   {gate, n_rows, n_cols, kTileStride});
  }

  void down() {
    const size_t slices = (down_.rows() + kSliceCols - 1) / kSliceCols;
    context_.pool.for_each(groups_.experts.size() * slices, [&](size_t task, size_t worker) {
      const size_t expert = groups_.experts[task / slices], slice = task % slices;
      const size_t first_panel = slice * kSlicePanels;
      const size_t n_panels = std::min(kSlicePanels, down_.n_panels() - first_panel);
      const size_t n_cols = std::min(kSliceCols, down_.rows() - slice * kSliceCols);
      float* tile = scratch_.data() + worker * kScratchFloats;
      for_row_tiles(groups_.count(expert), [&](size_t row, size_t n) {
        const size_t first_row = groups_.offsets[expert] + row;
        multiply(context_, {down_, expert, first_panel, n_panels},
                 hidden(expert).view(first_row, n), tile + 2 * kTileFloats, tile, kTileStride);
        adapters_.add_down({expert, first_panel, n_panels, first_row, n, kTileStride},
                           tile + kTileFloats, tile);
        for (size_t r = 0; r < n; ++r) {
          std::copy_n(tile + r * kTileStride, n_cols,
                      outputs_.row(groups_.pairs[first_row + r]) + slice * kSliceCols);
        }
      });
    });
  }

  // In the order of the choices, whatever order the experts finished in.
  void combine(TensorView<float> residual) {
    const size_t k = routing_.expert_ids.cols(), dim = residual.cols();
    const auto combine_token = [&](size_t t, size_t) {
      for (size_t choice = 0; choice < k; ++choice) {
        context_.kernels.add_scaled(outputs_.row(t * k + choice), routing_.probs.row(t)[choice],
                                    dim, residual.row(t));
      }
    };
    if (residual.rows() * k * dim <= kSerialWork) {
      for (size_t t = 0; t < residual.rows(); ++t) combine_token(t, 0);
    } else {
      context_.pool.for_each(residual.rows(), combine_token);
    }
  }

  const CpuContext& context_;
  Arena& arena_;
  const CpuWeight &gate_, &up_, &down_;
  const Routing& routing_;
  Grouping groups_;
  bool has_adapters_;
  GroupedRows inputs_, hidden_;
  ExpertAdapters adapters_;
  TensorView<float> outputs_;  // row token * K + choice
  std::span<float> scratch_;
};

}  // namespace

void run_experts(const CpuContext& context, Arena& arena, TensorView<const float> x,
                 const ExpertWeights& weights, const Routing& routing, TensorView<float> residual) {
  if (x.rows() == 0) return;
  const size_t mark = arena.used();
  ExpertsStep(context, arena, weights, routing).run(x, residual);
  arena.rewind(mark);
}

size_t run_experts_bytes(const CpuContext& context, const StepLimits& limits) {
  const size_t n_pairs = limits.n_tokens * limits.n_experts_per_token;
  const size_t tokens = 3 * ActivationRows::bytes(limits.n_tokens, limits.dim);
  const size_t grouped = 3 * ActivationRows::bytes(n_pairs, limits.dim) +
                         3 * ActivationRows::bytes(n_pairs, limits.hidden_dim);
  const size_t indices =
      arena_bytes<uint32_t>(n_pairs) + 3 * arena_bytes<uint32_t>(limits.n_experts + 1);
  return tokens + grouped + indices + ExpertAdapters::bytes(limits) +
         arena_bytes<float>(n_pairs * limits.dim) +
         arena_bytes<float>(context.pool.size() * ExpertsStep::kScratchFloats);
}

}  // namespace mixtral::cpu
