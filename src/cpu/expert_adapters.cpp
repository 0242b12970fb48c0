#include "cpu/expert_adapters.h"

#include <algorithm>

#include "cpu/cpu_weight.h"
#include "cpu/matmul.h"

namespace mixtral::cpu {
namespace {

const CpuWeight& own(const Weight& weight) { return static_cast<const CpuWeight&>(weight); }

Activations view_of(TensorView<float> rows) {
  Activations view;
  view.values = rows.data();
  view.value_stride = rows.stride();
  view.n_rows = rows.rows();
  return view;
}

size_t largest_rank(std::span<const ExpertAdapter> adapters) {
  size_t rank = 0;
  for (const ExpertAdapter& adapter : adapters) {
    for (const LowRank& change : {adapter.gate, adapter.up, adapter.down}) {
      if (change.a != nullptr) rank = std::max(rank, change.a->rows());
    }
  }
  return rank;
}

}  // namespace

ExpertAdapters::ExpertAdapters(const CpuContext& context, Arena& arena,
                               std::span<const ExpertAdapter> adapters, const Grouping& groups,
                               size_t n_choices)
    : context_(context), adapters_(adapters), groups_(groups), n_choices_(n_choices) {
  if (adapters.empty()) return;
  const size_t n_rows = groups.pairs.size(), rank = largest_rank(adapters);
  gate_ = arena.take_matrix<float>(n_rows, rank);
  up_ = arena.take_matrix<float>(n_rows, rank);
  down_ = arena.take_matrix<float>(n_rows, rank);
}

size_t ExpertAdapters::bytes(const StepLimits& limits) {
  const size_t n_rows = limits.n_tokens * limits.n_experts_per_token;
  return 3 * arena_bytes<float>(n_rows * limits.adapter_rank);
}

// An expert's pairs ascend, so those of consecutive tokens are consecutive.
ExpertAdapters::Rows ExpertAdapters::rows_of(const ExpertAdapter& adapter, size_t expert) const {
  const auto pairs = groups_.pairs.begin();
  const auto begin = pairs + groups_.offsets[expert], end = pairs + groups_.offsets[expert + 1];
  const size_t first_pair = adapter.first_row * n_choices_;
  const size_t end_pair = first_pair + adapter.n_rows * n_choices_;
  const auto first = std::lower_bound(begin, end, first_pair);
  return {static_cast<size_t>(first - pairs),
          static_cast<size_t>(std::lower_bound(first, end, end_pair) - pairs)};
}

void ExpertAdapters::read_inputs(const ActivationRows& inputs) {
  multiply_a(&ExpertAdapter::gate, inputs, gate_);
  multiply_a(&ExpertAdapter::up, inputs, up_);
}

void ExpertAdapters::read_hidden(const ActivationRows& hidden) {
  multiply_a(&ExpertAdapter::down, hidden, down_);
}

// A task is an expert and an adapter: A is small.
void ExpertAdapters::multiply_a(LowRank ExpertAdapter::*change, const ActivationRows& x,
                                TensorView<float> inner) const {
  if (adapters_.empty()) return;  // not even the threads are woken
  context_.pool.for_each(adapters_.size() * groups_.experts.size(), [&](size_t task, size_t) {
    const ExpertAdapter& adapter = adapters_[task % adapters_.size()];
    const size_t expert = groups_.experts[task / adapters_.size()];
    const LowRank& low_rank = adapter.*change;
    if (low_rank.a == nullptr) return;
    const CpuWeight& a = own(*low_rank.a);
    const Rows rows = rows_of(adapter, expert);
    for (size_t row = rows.first; row < rows.end; row += kRowTile) {
      const size_t n = std::min(kRowTile, rows.end - row);
      multiply(context_, {a, expert, 0, a.n_panels()}, x.view(row, n), nullptr, inner.row(row),
               inner.stride());
    }
  });
}

void ExpertAdapters::add_gate(const ExpertTile& tile, float* scratch, float* y) const {
  add(&ExpertAdapter::gate, gate_, tile, scratch, y);
}
void ExpertAdapters::add_up(const ExpertTile& tile, float* scratch, float* y) const {
  add(&ExpertAdapter::up, up_, tile, scratch, y);
}
void ExpertAdapters::add_down(const ExpertTile& tile, float* scratch, float* y) const {
  add(&ExpertAdapter::down, down_, tile, scratch, y);
}

void ExpertAdapters::add(LowRank ExpertAdapter::*change, TensorView<float> inner,
                         const ExpertTile& tile, float* scratch, float* y) const {
  for (const ExpertAdapter& adapter : adapters_) {
    const LowRank& low_rank = adapter.*change;
    if (low_rank.a == nullptr) continue;
    const Rows all = rows_of(adapter, tile.expert);
    const size_t first = std::max(all.first, tile.first_row);
    const size_t end = std::min(all.end, tile.first_row + tile.n_rows);
    if (first >= end) continue;
    multiply(context_, {own(*low_rank.b), tile.expert, tile.first_panel, tile.n_panels},
             view_of(inner.rows_from(first, end - first)), nullptr, scratch, tile.stride);
    for (size_t row = first; row < end; ++row) {
      context_.kernels.add_scaled(scratch + (row - first) * tile.stride, 1.0f,
                                  tile.n_panels * kPanelRows,
                                  y + (row - tile.first_row) * tile.stride);
    }
  }
}

}  // namespace mixtral::cpu
