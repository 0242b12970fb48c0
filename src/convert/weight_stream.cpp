#include "convert/weight_stream.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "core/check.h"
#include "core/half.h"
#include "quant/pack.h"
#include "quant/unpack.h"

namespace mixtral {
namespace {

// Large enough that a read is not all overhead, small enough that a few per thread stay in cache.
constexpr size_t kTaskBytes = size_t{1} << 20;
constexpr size_t kTasksPerThread = 4;

/// One worker's part of a stream: rows in, rows out.
class RowConverter {
 public:
  RowConverter(const WeightSource& source, size_t matrix, const WeightForm& form)
      : source_(source),
        matrix_(matrix),
        form_(form),
        in_row_bytes_(source.row_bytes(matrix)),
        out_row_bytes_(row_bytes(form.type, source.cols())) {}

  /// Fills `out` with rows [first, first + n) of the written matrix: whole heads in half order.
  Status convert(size_t first, size_t n, std::span<std::byte> out) {
    const bool same_type = source_.type(matrix_) == form_.type;
    if (same_type && form_.order == RowOrder::kInterleaved)
      return source_.read_rows(matrix_, first, n, out);
    stored_.resize(n * in_row_bytes_);
    MIXTRAL_TRY(source_.read_rows(matrix_, first, n, stored_));
    for (size_t row = 0; row < n; ++row) {
      const std::byte* from = stored_.data() + stored_row(row) * in_row_bytes_;
      std::byte* to = out.data() + row * out_row_bytes_;
      if (same_type)
        std::memcpy(to, from, out_row_bytes_);
      else
        MIXTRAL_TRY(change_type(first + stored_row(row), from, to));
    }
    return {};
  }

 private:
  /// Where row `row` of the written order stands in the interleaved one.
  size_t stored_row(size_t row) const {
    if (form_.order == RowOrder::kInterleaved) return row;
    const size_t half = form_.head_dim / 2, in_head = row % form_.head_dim;
    return row - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
  }

  Status change_type(size_t row, const std::byte* from, std::byte* to) {
    const Type type = source_.type(matrix_);
    if (!all_finite(type, from, source_.cols()))
      return fail(ErrorCode::kBadInput, "{}: row {} holds NaN or infinity, expected finite weights",
                  source_.name(), row);
    widened_.resize(source_.cols());
    unpack(type, from, source_.cols(), widened_.data());
    const float* importance = form_.importance.empty() ? nullptr : form_.importance.data();
    pack(form_.type, widened_.data(), source_.cols(), importance, to);
    if (!all_finite(form_.type, to, source_.cols()))
      return fail(ErrorCode::kBadInput, "{}: row {} holds a value too large for {}", source_.name(),
                  row, type_name(form_.type));
    return {};
  }

  const WeightSource& source_;
  size_t matrix_;
  WeightForm form_;
  size_t in_row_bytes_, out_row_bytes_;
  std::vector<std::byte> stored_;
  std::vector<float> widened_;
};

}  // namespace

Status stream_matrix(const WeightSource& source, size_t matrix, const WeightForm& form,
                     ThreadPool& pool, ByteSink sink) {
  const size_t out_row_bytes = row_bytes(form.type, source.cols());
  const size_t unit = form.order == RowOrder::kHalf ? form.head_dim : 1;
  MIXTRAL_CHECK(unit > 0 && source.rows() % unit == 0, "rows must be whole heads");
  const size_t task_rows =
      std::max<size_t>(1, kTaskBytes / std::max(out_row_bytes, source.row_bytes(matrix)) / unit) *
      unit;
  const size_t batch_rows = task_rows * kTasksPerThread * pool.size();

  std::vector<RowConverter> workers(pool.size(), RowConverter(source, matrix, form));
  std::vector<std::byte> buffer(std::min(batch_rows, source.rows()) * out_row_bytes);
  for (size_t begin = 0; begin < source.rows(); begin += batch_rows) {
    const size_t end = std::min(begin + batch_rows, source.rows());
    const size_t n_tasks = (end - begin + task_rows - 1) / task_rows;
    std::vector<Status> done(n_tasks);
    pool.for_each(n_tasks, [&](size_t task, size_t worker) {
      const size_t first = begin + task * task_rows;
      const size_t n = std::min(task_rows, end - first);
      done[task] = workers[worker].convert(
          first, n, std::span(buffer).subspan((first - begin) * out_row_bytes, n * out_row_bytes));
    });
    for (Status& status : done) MIXTRAL_TRY(std::move(status));
    MIXTRAL_TRY(sink(std::span(buffer).first((end - begin) * out_row_bytes)));
  }
  return {};
}

Result<bool> holds_exactly(const WeightSource& source, Type type) {
  MIXTRAL_CHECK(type == Type::kF16 || type == Type::kBF16, "only a 16-bit float can be too narrow");
  const auto narrowed = [type](float value) {
    return type == Type::kF16 ? f16_to_f32(f32_to_f16(value)) : bf16_to_f32(f32_to_bf16(value));
  };
  std::vector<float> values(source.cols());
  for (size_t matrix = 0; matrix < source.n_matrices(); ++matrix) {
    std::vector<std::byte> stored(source.row_bytes(matrix));
    for (size_t row = 0; row < source.rows(); ++row) {
      MIXTRAL_TRY(source.read_rows(matrix, row, 1, stored));
      unpack(source.type(matrix), stored.data(), source.cols(), values.data());
      for (const float value : values)
        if (std::bit_cast<uint32_t>(narrowed(value)) != std::bit_cast<uint32_t>(value))
          return false;
    }
  }
  return true;
}

}  // namespace mixtral
