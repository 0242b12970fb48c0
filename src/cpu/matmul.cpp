#include "cpu/matmul.h"

#include <unistd.h>

#include <algorithm>
#include <array>

namespace mixtral::cpu {
namespace {

constexpr size_t kMaxTaskPanels = 8;

size_t task_panels(const CpuContext& context, size_t n_panels) {
  return std::clamp<size_t>(n_panels / (8 * context.pool.size()), 1, kMaxTaskPanels);
}

void write_tile(TensorView<const float> tile, TensorView<float> y, size_t first_row,
                size_t first_col, OutputMode mode) {
  const size_t n = std::min(tile.cols(), y.cols() - first_col);
  for (size_t r = 0; r < tile.rows(); ++r) {
    const float* from = tile.row(r);
    float* to = y.row(first_row + r) + first_col;
    if (mode == OutputMode::kStore) {
      std::copy_n(from, n, to);
    } else {
      for (size_t i = 0; i < n; ++i) to[i] += from[i];
    }
  }
}

// Columns that one task shows to an observer.
constexpr size_t kObservedCols = 256;

void observe(const CpuContext& context, TensorView<const float> x,
             std::span<const LinearPart> parts) {
  const size_t slices = (x.cols() + kObservedCols - 1) / kObservedCols;
  context.pool.for_each(parts.size() * slices, [&](size_t task, size_t) {
    const size_t first = task % slices * kObservedCols;
    const size_t n = std::min(kObservedCols, x.cols() - first);
    context.observer->on_inputs(*parts[task / slices].weight, 0, first,
                                {x.data() + first, x.rows(), n, x.stride()});
  });
}

// The formats that the parts' weights want, each made once.
class FormatSet {
 public:
  FormatSet(const CpuContext& context, Arena& arena, TensorView<const float> x)
      : context_(context), arena_(arena), x_(x) {}

  void need(ActivationFormat format) {
    auto& rows = rows_[static_cast<size_t>(format)];
    if (rows.n_rows() == 0) rows = make_activation_rows(context_, arena_, format, x_);
  }
  const ActivationRows& operator[](ActivationFormat format) const {
    return rows_[static_cast<size_t>(format)];
  }

 private:
  const CpuContext& context_;
  Arena& arena_;
  TensorView<const float> x_;
  std::array<ActivationRows, 3> rows_;
};

// Rows meet a part of the columns of all panels before the next part, so that their activations
// stay in the second-level cache, of which the weights need some too. So many chunks are a part, of
// the few even ones that `n_chunks` are cut into.
size_t chunks_of_pass(size_t n_rows, size_t n_chunks) {
  static const size_t cached_chunks = [] {
    constexpr long kUsual = 1 << 20;
    const long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return static_cast<size_t>(cache > 0 ? cache : kUsual) / 8 * 5 / kChunkBytes;
  }();
  const size_t most = std::max<size_t>(cached_chunks / std::max<size_t>(n_rows, 1), 1);
  const size_t n_passes = std::max<size_t>((n_chunks + most - 1) / most, 1);
  return (n_chunks + n_passes - 1) / n_passes;
}

// Exact mode: quantised weights, activations in f32.
void multiply_widened(const CpuContext& context, const PanelRange& range, const Activations& x,
                      float* widened, float* y, size_t y_stride) {
  const CpuWeight& weight = range.weight;
  const size_t index = table_index(weight.type(range.matrix)), cols = weight.cols();
  for (size_t p = 0; p < range.n_panels; ++p) {
    const std::byte* panel = weight.panel(range.matrix, range.first_panel + p);
    for (size_t col = 0; col < cols; col += kWidenCols) {
      const size_t n = std::min(kWidenCols, cols - col);
      Activations part = x;
      part.values += col;
      context.kernels.widen[index](panel, cols, col, n, widened);
      context.kernels.matmul_widened(widened, n, part, col != 0, y + p * kPanelRows, y_stride);
    }
  }
}

}  // namespace

ActivationRows make_activation_rows(const CpuContext& context, Arena& arena,
                                    ActivationFormat format, TensorView<const float> x) {
  ActivationRows rows(arena, format, x.rows(), x.cols());
  const auto fill = [&](size_t row, size_t) {
    rows.fill(context.kernels, row, 0, x.cols(), x.row(row));
  };
  if (x.rows() * x.cols() <= kSerialWork) {
    for (size_t row = 0; row < x.rows(); ++row) fill(row, 0);
  } else {
    context.pool.for_each(x.rows(), fill);
  }
  return rows;
}

void multiply(const CpuContext& context, const PanelRange& range, const Activations& x,
              float* widened, float* y, size_t y_stride) {
  const CpuWeight& weight = range.weight;
  const Type type = weight.type(range.matrix);
  const bool widen = x.values != nullptr && activation_format(type) != ActivationFormat::kF32;
  if (widen) return multiply_widened(context, range, x, widened, y, y_stride);
  const size_t index = table_index(type);
  const Panels panels = weight.panels(range.matrix, range.first_panel, range.n_panels,
                                      best_streaming(context.kernels.isa));
  const size_t n_chunks = chunks_of_pass(x.n_rows, x.end_chunk - x.first_chunk);
  Activations pass = x;
  do {
    pass.end_chunk = std::min(x.end_chunk, pass.first_chunk + n_chunks);
    context.kernels.matmul[index](panels, pass, y, y_stride);
    pass.first_chunk = pass.end_chunk;
  } while (pass.first_chunk < x.end_chunk);
}

void multiply_parts(const CpuContext& context, Arena& arena, TensorView<const float> x,
                    std::span<const LinearPart> parts, OutputMode mode) {
  if (x.rows() == 0) return;
  if (context.observer != nullptr) observe(context, x, parts);
  const size_t mark = arena.used();
  FormatSet activations(context, arena, x);
  size_t total_panels = 0;
  for (const LinearPart& part : parts) {
    activations.need(context.format(part.weight->type()));
    total_panels += static_cast<const CpuWeight&>(*part.weight).n_panels();
  }
  const size_t block = task_panels(context, total_panels);
  size_t n_tasks = 0;
  for (const LinearPart& part : parts) {
    n_tasks += (static_cast<const CpuWeight&>(*part.weight).n_panels() + block - 1) / block;
  }
  constexpr size_t kTileFloats = kRowTile * kMaxTaskPanels * kPanelRows;
  constexpr size_t kScratchFloats = kTileFloats + kWidenCols * kPanelRows;
  const std::span<float> scratch = arena.take<float>(context.pool.size() * kScratchFloats);

  context.pool.for_each(n_tasks, [&](size_t task, size_t worker) {
    const LinearPart* part = parts.data();
    size_t first = task * block;
    for (;; ++part) {  // blocks do not cross parts, so each part begins at a whole block
      const size_t n_panels = static_cast<const CpuWeight&>(*part->weight).n_panels();
      if (first < n_panels) break;
      first -= (n_panels + block - 1) / block * block;
    }
    const auto& weight = static_cast<const CpuWeight&>(*part->weight);
    const size_t count = std::min(block, weight.n_panels() - first);
    const ActivationRows& rows = activations[context.format(weight.type())];
    float* tile = scratch.data() + worker * kScratchFloats;
    for_row_tiles(x.rows(), [&](size_t row, size_t n) {
      multiply(context, {weight, 0, first, count}, rows.view(row, n), tile + kTileFloats, tile,
               count * kPanelRows);
      write_tile({tile, n, count * kPanelRows}, part->y, row, first * kPanelRows, mode);
    });
  });
  arena.rewind(mark);
}

size_t multiply_parts_bytes(const CpuContext& context, size_t n_rows, size_t cols) {
  constexpr size_t kScratchFloats = (kRowTile * kMaxTaskPanels + kWidenCols) * kPanelRows;
  return 3 * ActivationRows::bytes(n_rows, cols) +
         arena_bytes<float>(context.pool.size() * kScratchFloats);
}

}  // namespace mixtral::cpu
