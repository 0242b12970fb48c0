#include "convert/column_importance.h"

#include <algorithm>

#include "io/quoted.h"
#include "model/tensor_names.h"

namespace mixtral {
namespace {

struct Shape {
  size_t n_matrices, cols;
};

/// The mean over all rows of the matrices that saw enough of them; empty if none did.
std::vector<double> mean_of_well_seen(const InputSums& sums) {
  const size_t cols = sums.cols();
  std::vector<double> mean(cols);
  double n_rows = 0;
  for (size_t m = 0; m < sums.n_matrices(); ++m) {
    if (sums.counts[m] < kFewestRows) continue;
    n_rows += double{sums.counts[m]};
    for (size_t c = 0; c < cols; ++c) mean[c] += double{sums.squares[m * cols + c]};
  }
  if (n_rows == 0) return {};
  for (double& value : mean) value /= n_rows;
  return mean;
}

}  // namespace

Status check_importance(const ImportanceMatrix& matrix, const ModelSource& model) {
  std::map<std::string, Shape> shapes;
  for (const WeightId id : all_weights(model.config)) {
    const auto source = model.weight(id);
    shapes[new_tensor_name(CheckpointKind::kGguf, id, 0, model.config.has_router())] = {
        source->n_matrices(), source->cols()};
  }
  for (const auto& [name, sums] : matrix.weights) {
    const auto found = shapes.find(name);
    if (found == shapes.end()) {
      return fail(ErrorCode::kBadInput, "{}: tensor {} is none of this model", matrix.source_path,
                  in_quotes(name));
    }
    const Shape expected = found->second;
    if (sums.n_matrices() != expected.n_matrices || sums.cols() != expected.cols) {
      return fail(ErrorCode::kBadInput,
                  "{}: tensor {} has {} x {} sums, expected {} x {} for this model",
                  matrix.source_path, in_quotes(name), sums.n_matrices(), sums.cols(),
                  expected.n_matrices, expected.cols);
    }
  }
  return {};
}

std::vector<float> column_importance(const ImportanceMatrix& matrix, const std::string& name,
                                     std::vector<std::string>& warnings) {
  const auto found = matrix.weights.find(name);
  if (found == matrix.weights.end()) return {};
  const InputSums& sums = found->second;
  const size_t cols = sums.cols();
  const std::vector<double> others = mean_of_well_seen(sums);
  if (others.empty()) {
    warnings.push_back(fmt::format("{}: the importance matrix saw fewer than {} rows: not used",
                                   name, kFewestRows));
    return {};
  }
  std::vector<float> values(sums.squares.size());
  std::vector<size_t> guessed;
  for (size_t m = 0; m < sums.n_matrices(); ++m) {
    const bool well_seen = sums.counts[m] >= kFewestRows;
    if (!well_seen) guessed.push_back(m);
    for (size_t c = 0; c < cols; ++c) {
      values[m * cols + c] =
          well_seen ? sums.squares[m * cols + c] / sums.counts[m] : static_cast<float>(others[c]);
    }
  }
  if (!guessed.empty()) {
    warnings.push_back(
        fmt::format("{}: expert {} saw fewer than {} rows: the mean of the other experts is used",
                    name, fmt::join(guessed, ", "), kFewestRows));
  }
  return values;
}

}  // namespace mixtral
