#include "cpu/cpu_weight.h"

#include <algorithm>
#include <mutex>

#include "cpu/panel.h"
#include "ops/load_rows.h"
#include "quant/unpack.h"

namespace mixtral::cpu {
namespace {

// Large enough that reading is one long pread, small enough that all cores get some of a matrix.
constexpr size_t kReadBytes = size_t{1} << 20;

size_t panels_of(size_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }

std::string kernel_name(const CpuContext& context, Type type) {
  const Isa isa = context.kernels.isa;
  const std::string_view name = isa_name(isa == Isa::kAmx ? Isa::kAvx512 : isa);
  const ActivationFormat format = context.format(type);
  if (format == ActivationFormat::kF32) return fmt::format("{} f32", name);
  return fmt::format("{} int8, scale per {}{}", name, format == ActivationFormat::kQ8x32 ? 32 : 256,
                     isa == Isa::kAmx ? "; amx tiles for many rows" : "");
}

}  // namespace

CpuWeight::CpuWeight(const WeightSource& source) : Weight(source) {
  size_t total = 0;
  for (size_t m = 0; m < n_matrices(); ++m) {
    begins_.push_back(total);
    panel_bytes_.push_back(panel_bytes(type(m), cols()));
    total += n_panels() * panel_bytes_.back();
  }
  panels_ = AlignedBuffer(total);
}

size_t CpuWeight::planned_bytes(const WeightSource& source) {
  size_t total = 0;
  for (size_t m = 0; m < source.n_matrices(); ++m) {
    total += panels_of(source.rows()) * panel_bytes(source.type(m), source.cols());
  }
  return total;
}

size_t CpuWeight::bytes() const { return panels_.size() + vector_.size() * sizeof(float); }

Result<std::unique_ptr<CpuWeight>> CpuWeight::load(const CpuContext& context,
                                                   const WeightSource& source,
                                                   FunctionRef<void(uint64_t)>* on_bytes) {
  std::unique_ptr<CpuWeight> weight(new CpuWeight(source));
  if (weight->panels_.data() == nullptr) {
    return fail(ErrorCode::kTooLarge, "tensor {}: no memory for {} bytes", source.name(),
                planned_bytes(source));
  }
  weight->kernel_ = kernel_name(context, weight->type());

  size_t largest_row = 1;
  for (size_t m = 0; m < source.n_matrices(); ++m) {
    largest_row = std::max(largest_row, source.row_bytes(m));
  }
  const size_t step = std::max<size_t>(1, kReadBytes / (largest_row * kPanelRows));
  const size_t staging_bytes = step * kPanelRows * largest_row;
  std::vector<std::vector<std::byte>> staging(context.pool.size());
  const size_t steps_per_matrix = (weight->n_panels() + step - 1) / step;

  std::mutex mutex;
  Status status;
  context.pool.for_each(steps_per_matrix * source.n_matrices(), [&](size_t task, size_t worker) {
    staging[worker].resize(staging_bytes);
    const size_t matrix = task / steps_per_matrix, first = task % steps_per_matrix * step;
    const size_t count = std::min(step, weight->n_panels() - first);
    Status done = weight->read_panels(source, matrix, first, count, staging[worker]);
    if (!done) {
      const std::lock_guard lock(mutex);
      if (status) status = std::move(done);
    } else if (on_bytes != nullptr) {
      const size_t n_rows = std::min(count * kPanelRows, source.rows() - first * kPanelRows);
      (*on_bytes)(n_rows * source.row_bytes(matrix));
    }
  });
  if (!status) return tl::unexpected(std::move(status).error());
  if (weight->rows() == 1) {
    std::vector<std::byte> stored(source.row_bytes());
    weight->vector_.resize(weight->cols());
    unpack_panel_row(weight->type(), weight->cols(), weight->panel(0, 0), 0, stored.data());
    unpack(weight->type(), stored.data(), weight->cols(), weight->vector_.data());
  }
  return weight;
}

Status CpuWeight::read_panels(const WeightSource& source, size_t matrix, size_t first_panel,
                              size_t n_panels, std::span<std::byte> staging) {
  const size_t row_bytes = source.row_bytes(matrix);
  const size_t first_row = first_panel * kPanelRows;
  const size_t n_rows = std::min(n_panels * kPanelRows, rows() - first_row);
  MIXTRAL_TRY(
      read_finite_rows(source, matrix, first_row, n_rows, staging.first(n_rows * row_bytes)));
  for (size_t p = 0; p < n_panels; ++p) {
    const size_t row = p * kPanelRows;
    std::byte* target = panels_.data() + begins_[matrix] + (first_panel + p) * panel_bytes_[matrix];
    pack_panel(type(matrix), cols(), staging.data() + row * row_bytes,
               std::min(kPanelRows, n_rows - row), row_bytes, target);
  }
  return {};
}

}  // namespace mixtral::cpu
