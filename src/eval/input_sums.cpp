#include "eval/input_sums.h"

#include <cmath>
#include <unordered_map>

#include "core/progress_task.h"
#include "model/tensor_names.h"
#include "ops/input_observer.h"

namespace mixtral {
namespace {

// Counts are written as floats: beyond this, one more row would not show.
constexpr uint64_t kMostRows = uint64_t{1} << 24;

bool has_inputs_of_a_layer(Role role) {
  switch (role) {
    case Role::kWq:
    case Role::kWk:
    case Role::kWv:
    case Role::kWo:
    case Role::kRouter:
    case Role::kWGate:
    case Role::kWUp:
    case Role::kWDown: return true;
    default: return false;
  }
}

/// Adds in double, column by column in the order of the tokens, so that threads do not matter.
class InputSumsCollector final : public InputObserver {
 public:
  explicit InputSumsCollector(const Transformer& model) {
    const ModelConfig& config = model.config();
    for (const WeightId id : all_weights(config)) {
      if (!has_inputs_of_a_layer(id.role)) continue;
      const Weight& weight = model.weight(id);
      Sums& sums = sums_[&weight];
      sums.name = new_tensor_name(CheckpointKind::kGguf, id, 0, config.has_router());
      sums.squares.resize(weight.n_matrices() * weight.cols());
      sums.counts.resize(weight.n_matrices());
    }
  }

  void on_inputs(const Weight& weight, size_t matrix, size_t first_col,
                 TensorView<const float> x) override {
    const auto found = sums_.find(&weight);
    if (found == sums_.end()) return;
    double* squares = found->second.squares.data() + matrix * weight.cols() + first_col;
    for (size_t row = 0; row < x.rows(); ++row) {
      const float* values = x.row(row);
      for (size_t c = 0; c < x.cols(); ++c) squares[c] += double{values[c]} * double{values[c]};
    }
    if (first_col == 0) found->second.counts[matrix] += x.rows();  // each row once
  }

  ImportanceMatrix result() const {
    ImportanceMatrix matrix;
    for (const auto& [weight, sums] : sums_) {
      InputSums& out = matrix.weights[sums.name];
      out.squares.assign(sums.squares.begin(), sums.squares.end());
      out.counts.assign(sums.counts.begin(), sums.counts.end());
    }
    return matrix;
  }

 private:
  struct Sums {
    std::string name;
    std::vector<double> squares;   // [n_matrices, cols]
    std::vector<uint64_t> counts;  // [n_matrices]
  };
  std::unordered_map<const Weight*, Sums> sums_;
};

/// Shows a backend's inputs to an observer for the time it lives.
class Observation {
 public:
  Observation(Backend& backend, InputObserver& observer) : backend_(backend) {
    backend_.observe_inputs(&observer);
  }
  ~Observation() { backend_.observe_inputs(nullptr); }
  Observation(const Observation&) = delete;
  Observation& operator=(const Observation&) = delete;

 private:
  Backend& backend_;
};

Status read_windows(Engine& engine, const Windows& windows, Progress* progress) {
  ProgressTask read(progress, "reading", windows.size() * windows.n_tokens(), "tokens");
  for (size_t window = 0; window < windows.size(); ++window) {
    const std::vector<int32_t> inputs = windows.inputs(window);
    const auto no_logits = [](size_t, std::span<const float>) { return Status(); };
    MIXTRAL_TRY(engine.score(inputs, no_logits, nullptr, inputs.size()));
    read.add(windows.n_tokens());
  }
  return {};
}

}  // namespace

Result<ImportanceMatrix> collect_importance(Engine& engine, const Windows& windows,
                                            Progress* progress) {
  if (windows.size() * windows.n_tokens() > kMostRows) {
    return fail(ErrorCode::kTooLarge, "{} tokens, expected at most {}: take a shorter text",
                windows.size() * windows.n_tokens(), kMostRows);
  }
  InputSumsCollector collector(engine.model());
  {
    const Observation observation(engine.model().backend(), collector);
    MIXTRAL_TRY(read_windows(engine, windows, progress));
  }
  ImportanceMatrix matrix = collector.result();
  for (const auto& [name, sums] : matrix.weights) {
    for (const float square : sums.squares) {
      if (!std::isfinite(square)) {
        return fail(ErrorCode::kBadInput, "{}: inputs too large to be squared", name);
      }
    }
  }
  matrix.n_chunks = windows.size();
  matrix.chunk_tokens = windows.n_tokens();
  return matrix;
}

}  // namespace mixtral
