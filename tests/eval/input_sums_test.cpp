#include "eval/input_sums.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cpu/cpu_backend.h"
#include "eval/perplexity.h"
#include "ops/reference.h"
#include "support/golden.h"
#include "support/model_runner.h"

namespace mixtral::testing {
namespace {

const char* const kMoe = "models/mixtral-tiny-f32";
constexpr size_t kContext = 24;

std::unique_ptr<Engine> load(const std::string& path, std::unique_ptr<Backend> backend) {
  EngineOptions options;
  options.chunk_tokens = 16;  // a window is more than one step
  options.context_len = kContext;
  auto engine = Engine::load(path, std::move(backend), options);
  EXPECT_TRUE(engine) << engine.error().message;
  return *std::move(engine);
}

std::unique_ptr<Backend> cpu_backend(size_t n_threads, bool exact) {
  CpuBackendOptions options;
  options.n_threads = n_threads;
  options.exact = exact;
  return *make_cpu_backend(options);
}

Windows some_windows(std::optional<int32_t> bos_id = {}) {
  std::vector<int32_t> ids(4 * kContext);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * i * 17 % 251) + 3;
  return *Windows::cut(ids, {.context = kContext, .bos_id = bos_id});
}

ImportanceMatrix collect(const std::string& path, std::unique_ptr<Backend> backend) {
  const auto engine = load(path, std::move(backend));
  auto matrix = collect_importance(*engine, some_windows(), nullptr);
  EXPECT_TRUE(matrix) << matrix.error().message;
  return *std::move(matrix);
}

// Adds up what a step's trace shows of the same sums.
class Direct : public StepTrace {
 public:
  explicit Direct(const Engine& engine)
      : squares(engine.model().config().dim),
        counts(engine.model().config().n_layers,
               std::vector<float>(engine.model().config().n_experts)),
        norm_(squares.size()),
        eps_(static_cast<double>(engine.model().config().norm_eps)) {
    const auto source = engine.checkpoint().source({Role::kAttentionNorm, 0});
    EXPECT_TRUE(source->read_rows(0, 0, 1, std::as_writable_bytes(std::span(norm_))));
  }

  void on_hidden(size_t index, TensorView<const float> x) override {
    for (size_t row = 0; index == 0 && row < x.rows(); ++row) {
      double mean = 0;
      for (size_t c = 0; c < x.cols(); ++c) mean += std::pow(double{x.row(row)[c]}, 2);
      mean = mean / static_cast<double>(x.cols()) + eps_;
      for (size_t c = 0; c < x.cols(); ++c)
        squares[c] += std::pow(double{x.row(row)[c]} * double{norm_[c]}, 2) / mean;
    }
  }
  void on_routing(size_t layer, TensorView<const float>, const Routing& routing) override {
    for (size_t row = 0; row < routing.expert_ids.rows(); ++row)
      for (size_t k = 0; k < routing.expert_ids.cols(); ++k)
        ++counts[layer][static_cast<size_t>(routing.expert_ids.row(row)[k])];
  }

  std::vector<double> squares;             // of the inputs of layer 0's wq
  std::vector<std::vector<float>> counts;  // [layer][expert]

 private:
  std::vector<float> norm_;
  double eps_;
};

TEST(CollectImportance, EqualsADirectComputation) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const auto engine = load(path, make_reference_backend());
  const Windows windows = some_windows();
  Direct direct(*engine);
  for (size_t w = 0; w < windows.size(); ++w) {
    const auto ignore = [](size_t, std::span<const float>) { return Status(); };
    ASSERT_TRUE(engine->score(windows.inputs(w), ignore, &direct));
  }
  const auto matrix = collect_importance(*engine, windows, nullptr);
  ASSERT_TRUE(matrix) << matrix.error().message;
  const InputSums& wq = matrix->weights.at("blk.0.attn_q.weight");
  EXPECT_EQ(wq.counts, std::vector<float>{4 * kContext});
  ASSERT_EQ(wq.squares.size(), direct.squares.size());
  for (size_t c = 0; c < direct.squares.size(); ++c)
    EXPECT_NEAR(wq.squares[c], direct.squares[c], 1e-5 * direct.squares[c] + 1e-6) << c;
  for (size_t layer = 0; layer < direct.counts.size(); ++layer) {
    for (const char* name : {"gate", "up", "down"}) {
      const auto tensor = fmt::format("blk.{}.ffn_{}_exps.weight", layer, name);
      EXPECT_EQ(matrix->weights.at(tensor).counts, direct.counts[layer]) << tensor;
    }
  }
}

TEST(CollectImportance, ExpertsShareOutTheInputsOfTheRouter) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const ImportanceMatrix matrix = collect(path, make_reference_backend());
  const InputSums& router = matrix.weights.at("blk.1.ffn_gate_inp.weight");
  const InputSums& gate = matrix.weights.at("blk.1.ffn_gate_exps.weight");
  const size_t cols = router.cols();
  for (size_t c = 0; c < cols; ++c) {
    float sum = 0;
    for (size_t e = 0; e < gate.n_matrices(); ++e) sum += gate.squares[e * cols + c];
    EXPECT_NEAR(sum, 2 * router.squares[c], 1e-4 * router.squares[c]) << c;  // two per token
  }
}

TEST(CollectImportance, IsTheSameOnEveryBackend) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const ImportanceMatrix expected = collect(path, make_reference_backend());
  const ImportanceMatrix found = collect(path, cpu_backend(2, true));
  ASSERT_EQ(found.weights.size(), expected.weights.size());
  for (const auto& [name, sums] : expected.weights) {
    const InputSums& ours = found.weights.at(name);
    EXPECT_EQ(ours.counts, sums.counts) << name;
    ASSERT_EQ(ours.squares.size(), sums.squares.size()) << name;
    for (size_t i = 0; i < sums.squares.size(); ++i)
      ASSERT_NEAR(ours.squares[i], sums.squares[i], 1e-3 * sums.squares[i] + 1e-6) << name;
  }
}

TEST(CollectImportance, HasTheSameBitsForAnyNumberOfThreads) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const ImportanceMatrix one = collect(path, cpu_backend(1, false));
  const ImportanceMatrix three = collect(path, cpu_backend(3, false));
  for (const auto& [name, sums] : one.weights) {
    EXPECT_EQ(three.weights.at(name).squares, sums.squares) << name;
    EXPECT_EQ(three.weights.at(name).counts, sums.counts) << name;
  }
}

TEST(ScoreWindows, AsksForTheSecondHalvesOnly) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const auto engine = load(path, make_reference_backend());
  const Windows windows = some_windows(1);
  Perplexity perplexity;
  std::vector<size_t> positions;
  double sum = 0;
  const Status status = score_windows(
      *engine, windows,
      [&](const ScoredToken& token) -> Status {
        positions.push_back(token.position);
        EXPECT_EQ(token.id, windows.text(token.window)[token.position]);
        perplexity.add(token, 1);
        sum += nll(token.logits, token.id);
        return {};
      },
      nullptr);
  ASSERT_TRUE(status) << status.error().message;
  ASSERT_EQ(positions.size(), 4 * windows.n_scored());
  EXPECT_EQ(positions.front(), kContext / 2 + 1);
  EXPECT_EQ(positions.back(), kContext - 1);
  EXPECT_NEAR(perplexity.nll().value, sum / static_cast<double>(positions.size()), 1e-5);
}

}  // namespace
}  // namespace mixtral::testing
