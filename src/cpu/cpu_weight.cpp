#include "cpu/cpu_weight.h"

#include <algorithm>
#include <mutex>

#include "quant/unpack.h"

namespace mixtral::cpu {
namespace {

// What is read at a time goes on to the panels from the second-level cache.
constexpr size_t kReadBytes = size_t{256} << 10;
// Mapped panels come from the page cache or in long reads.
constexpr size_t kFetchBytes = size_t{8} << 20;

std::string kernel_name(const CpuContext& context, Type type) {
  const Isa isa = context.kernels.isa;
  const std::string_view name = isa_name(isa == Isa::kAmx ? Isa::kAvx512 : isa);
  const ActivationFormat format = context.format(type);
  if (format == ActivationFormat::kF32) return fmt::format("{} f32", name);
  return fmt::format("{} int8, scale per {}{}", name, format == ActivationFormat::kQ8x32 ? 32 : 256,
                     isa == Isa::kAmx ? "; amx tiles for many rows" : "");
}

tl::unexpected<Error> no_memory(const WeightSource& source, size_t n_bytes) {
  return fail(ErrorCode::kTooLarge, "tensor {}: no memory for {} bytes", source.name(), n_bytes);
}

}  // namespace

CpuWeight::CpuWeight(const WeightSource& source) : Weight(source), bytes_(planned_bytes(source)) {
  for (size_t m = 0; m < n_matrices(); ++m) {
    panel_bytes_.push_back(mixtral::panel_bytes(type(m), cols()));
  }
}

size_t CpuWeight::planned_bytes(const WeightSource& source) {
  size_t total = 0;
  for (size_t m = 0; m < source.n_matrices(); ++m) {
    total += panels_of(source.rows()) * mixtral::panel_bytes(source.type(m), source.cols());
  }
  return total;
}

Result<std::unique_ptr<CpuWeight>> CpuWeight::load(const CpuContext& context,
                                                   const WeightSource& source,
                                                   FunctionRef<void(uint64_t)>* on_bytes) {
  std::unique_ptr<CpuWeight> weight(new CpuWeight(source));
  weight->kernel_ = kernel_name(context, weight->type());
  if (source.panels(0) != nullptr) {
    MIXTRAL_TRY(weight->borrow(context, source, on_bytes));
  } else {
    MIXTRAL_TRY(weight->read(context, source, on_bytes));
  }
  if (weight->rows() == 1) weight->widen_vector();
  return weight;
}

// Fails with the first failure; of several threads' any may be first.
Status CpuWeight::for_each_span(const CpuContext& context, size_t n_panels_each,
                                FunctionRef<Status(size_t, PanelSpan, size_t)> body,
                                FunctionRef<void(uint64_t)>* on_bytes) const {
  const size_t spans_of_matrix = (n_panels() + n_panels_each - 1) / n_panels_each;
  std::mutex mutex;
  Status status;
  context.pool.for_each(spans_of_matrix * n_matrices(), [&](size_t task, size_t worker) {
    const size_t matrix = task / spans_of_matrix, first = task % spans_of_matrix * n_panels_each;
    const PanelSpan span = {first, std::min(n_panels_each, n_panels() - first)};
    Status done = body(matrix, span, worker);
    if (!done) {
      const std::lock_guard lock(mutex);
      if (status) status = std::move(done);
    } else if (on_bytes != nullptr) {
      const size_t n_rows = std::min(span.count * kPanelRows, rows() - first * kPanelRows);
      (*on_bytes)(n_rows * row_bytes(type(matrix), cols()));
    }
  });
  return status;
}

Status CpuWeight::borrow(const CpuContext& context, const WeightSource& source,
                         FunctionRef<void(uint64_t)>* on_bytes) {
  for (size_t m = 0; m < n_matrices(); ++m) {
    borrowed_.push_back(source.panels(m));
    begins_.push_back(borrowed_.back().get());
  }
  const size_t largest_panel = *std::max_element(panel_bytes_.begin(), panel_bytes_.end());
  const auto fetch = [&](size_t matrix, PanelSpan span, size_t) {
    const size_t bytes = panel_bytes_[matrix];
    return source.fetch_panels(matrix, span.first * bytes, span.count * bytes);
  };
  return for_each_span(context, std::max<size_t>(1, kFetchBytes / largest_panel), fetch, on_bytes);
}

Status CpuWeight::read(const CpuContext& context, const WeightSource& source,
                       FunctionRef<void(uint64_t)>* on_bytes) {
  panels_ = AlignedBuffer(bytes_);
  if (panels_.data() == nullptr) return no_memory(source, bytes_);
  std::vector<std::byte*> targets;
  std::byte* next = panels_.data();
  size_t largest_row = 1;
  for (size_t m = 0; m < n_matrices(); ++m) {
    targets.push_back(next);
    next += n_panels() * panel_bytes_[m];
    largest_row = std::max(largest_row, source.row_bytes(m));
  }
  begins_.assign(targets.begin(), targets.end());
  const size_t step = std::max<size_t>(1, kReadBytes / (largest_row * kPanelRows));
  const size_t staging_bytes = std::min(step * kPanelRows, rows()) * largest_row;
  std::vector<AlignedBuffer> staging(context.pool.size());
  const auto repack = [&](size_t matrix, PanelSpan span, size_t worker) -> Status {
    AlignedBuffer& stored = staging[worker];
    if (stored.data() == nullptr) stored = AlignedBuffer(staging_bytes);
    if (stored.data() == nullptr) return no_memory(source, staging_bytes);
    return read_finite_panels(source, matrix, span, {stored.data(), stored.size()},
                              targets[matrix] + span.first * panel_bytes_[matrix]);
  };
  return for_each_span(context, step, repack, on_bytes);
}

void CpuWeight::widen_vector() {
  std::vector<std::byte> stored(row_bytes(type(), cols()));
  vector_.resize(cols());
  unpack_panel_row(type(), cols(), panel(0, 0), 0, stored.data());
  unpack(type(), stored.data(), cols(), vector_.data());
}

}  // namespace mixtral::cpu
