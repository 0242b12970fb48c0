// Many sequences in one step: each gets the bits that it gets alone, whatever the company, the
// chunks and the threads.
#include <gtest/gtest.h>

#include "convert/make_model.h"
#include "convert/write_model.h"
#include "core/cpu_features.h"
#include "core/rng.h"
#include "cpu/cpu_backend.h"
#include "engine/allocations.h"
#include "engine/kv_sequence.h"
#include "model/transformer.h"
#include "support/golden.h"
#include "support/small_mixtral.h"

namespace mixtral::testing {
namespace {

constexpr size_t kMaxRows = 40;
constexpr size_t kContext = 160;

// A model on one backend, with caches for several sequences.
class Batches {
 public:
  Batches(const std::string& path, Isa isa, size_t n_threads, size_t n_sequences) {
    CpuBackendOptions options;
    options.isa = isa;
    options.n_threads = n_threads;
    backend_ = std::move(*make_cpu_backend(options));
    checkpoint_ = std::make_unique<Checkpoint>(std::move(*Checkpoint::open(path)));
    model_ = std::move(*Transformer::load(*checkpoint_, *backend_));
    pool_ = std::move(*KvPool::create(model_->kv_layout(), n_sequences * pages_of(kContext)));
    for (size_t s = 0; s < n_sequences; ++s) caches_.emplace_back(*pool_, kContext, 0);
    arena_ = Arena(model_->arena_bytes(kMaxRows, kMaxRows));
  }

  size_t n_done(size_t sequence) const { return caches_[sequence].n_tokens(); }

  // Rows of `parts` (sequence, ids) as one step; the logits of all rows, or of those that are
  // wanted.
  TensorView<const float> step(
      const std::vector<std::pair<size_t, std::span<const int32_t>>>& parts,
      const std::optional<std::vector<int32_t>>& wanted = {}, StepTrace* trace = nullptr) {
    ids_.clear();
    rows_.clear();
    logit_rows_.clear();
    for (const auto& [sequence, ids] : parts) {
      KvSequence& kv = caches_[sequence];
      const size_t position = kv.n_tokens();
      EXPECT_TRUE(kv.extend(ids.size()));
      rows_.push_back({ids_.size(), ids.size(), position, kv.view()});
      ids_.insert(ids_.end(), ids.begin(), ids.end());
    }
    for (size_t row = 0; row < ids_.size(); ++row) logit_rows_.push_back(static_cast<int32_t>(row));
    if (wanted) logit_rows_ = *wanted;
    return *model_->forward(arena_, {ids_, rows_, logit_rows_}, trace);
  }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<Transformer> model_;
  std::optional<KvPool> pool_;
  std::vector<KvSequence> caches_;
  Arena arena_;
  std::vector<int32_t> ids_, logit_rows_;
  std::vector<SequenceRows> rows_;
};

class RandomBatches : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (GetParam() > best_isa()) GTEST_SKIP() << "this machine lacks " << isa_name(GetParam());
    const auto mix = type_mix_from_name("Q4_K_M");
    const auto model = make_random_model({"test", small_mixtral(), *mix, 3});
    ASSERT_TRUE(write_model(*model, ModelFormat::kGguf, path_, {}, nullptr));
    Rng rng(17);
    for (std::vector<int32_t>& ids : ids_) {
      ids.resize(1 + rng.below(60));
      for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(600));
    }
  }

  // Token by token, nobody else there.
  std::vector<std::vector<float>> alone() {
    Batches batches(path_, GetParam(), 1, ids_.size());
    std::vector<std::vector<float>> logits(ids_.size());
    for (size_t s = 0; s < ids_.size(); ++s) {
      for (const int32_t& id : ids_[s])
        append(batches.step({{s, {&id, 1}}}).row_span(0), logits[s]);
    }
    return logits;
  }

  // Every step takes some of the sequences that are not done, with a random number of rows each.
  std::vector<std::vector<float>> in_random_company(uint64_t seed, size_t n_threads) {
    Batches batches(path_, GetParam(), n_threads, ids_.size());
    Rng rng(seed);
    std::vector<std::vector<float>> logits(ids_.size());
    for (bool all_done = false; !all_done;) {
      all_done = true;
      std::vector<std::pair<size_t, std::span<const int32_t>>> parts;
      size_t room = kMaxRows;
      for (size_t s = 0; s < ids_.size() && room > 0; ++s) {
        const auto rest = std::span<const int32_t>(ids_[s]).subspan(batches.n_done(s));
        if (rest.empty()) continue;
        all_done = false;
        if (rng.below(3) == 0) continue;
        const size_t most = rng.below(2) == 0 ? 1 : room;
        const size_t n = std::min(rest.size(), 1 + rng.below(most));
        parts.push_back({s, rest.first(n)});
        room -= n;
      }
      if (parts.empty()) continue;
      const auto rows = batches.step(parts);
      size_t row = 0;
      for (const auto& [s, ids] : parts)
        for (size_t i = 0; i < ids.size(); ++i) append(rows.row_span(row++), logits[s]);
    }
    return logits;
  }

  static void append(std::span<const float> row, std::vector<float>& to) {
    to.insert(to.end(), row.begin(), row.end());
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_.file("model.gguf");
  std::vector<std::vector<int32_t>> ids_{9};
};

TEST_P(RandomBatches, GiveTheBitsThatEachSequenceGetsAlone) {
  const auto expected = alone();
  for (const uint64_t seed : {1, 2}) {
    const auto found = in_random_company(seed, 1 + seed % 3);
    for (size_t s = 0; s < expected.size(); ++s)
      EXPECT_EQ(found[s], expected[s]) << "sequence " << s << ", seed " << seed;
  }
}

// Counts the rows whose experts it is shown.
class RoutedRows : public StepTrace {
 public:
  bool wants_hidden() const override { return false; }
  void on_hidden(size_t, TensorView<const float>) override { ADD_FAILURE() << "not wanted"; }
  void on_routing(size_t layer, TensorView<const float>, const Routing& routing) override {
    EXPECT_EQ(n_rows.size(), layer);
    n_rows.push_back(routing.expert_ids.rows());
  }
  std::vector<size_t> n_rows;
};

TEST_P(RandomBatches, GiveTheSameLogitsWhereOnlySomeAreWanted) {
  const std::span<const int32_t> ids = std::span<const int32_t>(ids_[0]).first(12),
                                 next = ids.first(1);
  Batches all(path_, GetParam(), 1, 2), some(path_, GetParam(), 1, 2),
      none(path_, GetParam(), 1, 2);
  std::vector<float> expected;
  const auto of_all = all.step({{0, ids}, {1, ids}});
  for (const size_t row : {3, 12, 23}) append(of_all.row_span(row), expected);

  RoutedRows routed;
  const std::vector<int32_t> wanted = {3, 12, 23};
  std::vector<float> found;
  const auto of_some = some.step({{0, ids}, {1, ids}}, wanted, &routed);
  ASSERT_EQ(of_some.rows(), 3u);
  for (size_t row = 0; row < 3; ++row) append(of_some.row_span(row), found);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(routed.n_rows, std::vector<size_t>(small_mixtral().n_layers, 24));

  EXPECT_EQ(none.step({{0, ids}}, std::vector<int32_t>()).rows(), 0u);
  std::vector<float> after_all, after_none;  // the cache holds all of what was read
  append(all.step({{0, next}}).row_span(0), after_all);
  append(none.step({{0, next}}).row_span(0), after_none);
  EXPECT_EQ(after_none, after_all);
}

TEST_P(RandomBatches, AllocateNothingInAStep) {
  if (!n_allocations()) GTEST_SKIP() << "ThreadSanitizer has operators of its own";
  Batches batches(path_, GetParam(), 2, 3);
  const std::vector<int32_t> ids(12, 7);
  const std::span<const int32_t> span(ids);
  const std::vector<std::pair<size_t, std::span<const int32_t>>> parts = {
      {0, span}, {1, span.first(1)}, {2, span.first(1)}};
  batches.step(parts);
  const auto before = n_allocations();
  batches.step(parts);
  EXPECT_EQ(n_allocations(), before);
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, RandomBatches,
                         ::testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512),
                         [](const auto& test) { return std::string(isa_name(test.param)); });

}  // namespace
}  // namespace mixtral::testing
