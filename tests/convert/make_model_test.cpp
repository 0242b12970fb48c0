#include "convert/make_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model_files.h"
#include "ops/reference.h"
#include "support/golden.h"
#include "support/model_runner.h"
#include "support/small_mixtral.h"
#include "text/tokenizer.h"

namespace mixtral::testing {
namespace {

const TypeMix* mix_of(std::string_view name) {
  const auto mix = type_mix_from_name(name);
  EXPECT_TRUE(mix) << mix.error().message;
  return *mix;
}

Result<WriteReport> make(const std::string& path, const RandomModelOptions& options) {
  MIXTRAL_TRY(const ModelSource model, make_random_model(options));
  return write_model(model, ModelFormat::kGguf, path, {}, nullptr);
}

std::vector<int32_t> many_ids(size_t n, size_t vocab_size) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(i * 7919 % vocab_size));
  return ids;
}

class RandomModel : public ::testing::TestWithParam<std::string_view> {};

TEST_P(RandomModel, LoadsAndGivesFiniteLogitsOfUsualSize) {
  const TemporaryFolder temporary;
  const std::string path = temporary.file("model.gguf");
  const auto report = make(path, {"test", small_mixtral(), mix_of(GetParam()), 0});
  ASSERT_TRUE(report) << report.error().message;
  auto runner = ModelRunner::load(path, make_reference_backend());
  ASSERT_TRUE(runner) << runner.error().message;
  double squares = 0;
  size_t n = 0;
  for (const float logit : (*runner)->run(many_ids(8, 600), 8).logits) {
    ASSERT_TRUE(std::isfinite(logit));
    squares += double{logit} * logit;
    ++n;
  }
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(n)), 1.0, 0.2);
}

INSTANTIATE_TEST_SUITE_P(EveryMix, RandomModel, ::testing::ValuesIn(type_mix_names()), case_name);

TEST(RandomModel, IsTheSameForTheSameSeedOnly) {
  const TemporaryFolder temporary;
  for (const uint64_t seed : {0, 1})
    for (const char* copy : {"a", "b"})
      ASSERT_TRUE(make(temporary.file(fmt::format("{}{}.gguf", copy, seed)),
                       {"test", small_mixtral(), mix_of("Q4_K_M"), seed}));
  const Checkpoint a = open_model(temporary.file("a0.gguf"));
  expect_same_weights(a, open_model(temporary.file("b0.gguf")));
  const Checkpoint other = open_model(temporary.file("a1.gguf"));
  for (const Role role : {Role::kTokenEmbedding, Role::kWq, Role::kRouter, Role::kWDown})
    EXPECT_FALSE(matrix_bytes(*a.source({role, 0}), 0) ==
                 matrix_bytes(*other.source({role, 0}), 0));
}

TEST(RandomModel, HasDifferentExpertsAndLayers) {
  const auto model = make_random_model({"test", small_mixtral(), mix_of("Q8_0"), 0});
  ASSERT_TRUE(model);
  const auto first = model->weight({Role::kWUp, 0}), second = model->weight({Role::kWUp, 1});
  EXPECT_FALSE(matrix_bytes(*first, 0) == matrix_bytes(*first, 1));
  EXPECT_FALSE(matrix_bytes(*first, 0) == matrix_bytes(*second, 0));
}

/// Counts how often each expert was chosen.
class ExpertCounts final : public StepTrace {
 public:
  explicit ExpertCounts(size_t n_experts) : counts_(n_experts) {}
  void on_hidden(size_t, TensorView<const float>) override {}
  void on_routing(size_t, TensorView<const float>, const Routing& routing) override {
    for (size_t row = 0; row < routing.expert_ids.rows(); ++row)
      for (const int32_t expert : routing.expert_ids.row_span(row))
        ++counts_[static_cast<size_t>(expert)];
  }
  const std::vector<size_t>& counts() const { return counts_; }

 private:
  std::vector<size_t> counts_;
};

// Of 256 tokens in two layers.
std::vector<size_t> expert_counts(double skew) {
  const TemporaryFolder temporary;
  const std::string path = temporary.file("model.gguf");
  EXPECT_TRUE(make(path, {"test", small_mixtral(), mix_of("Q8_0"), 0, skew}));
  auto runner = ModelRunner::load(path, make_reference_backend());
  EXPECT_TRUE(runner) << runner.error().message;
  ExpertCounts trace(8);
  (*runner)->run(
      many_ids(256, 600), 64, [](size_t, std::span<const float>) {}, &trace);
  return trace.counts();
}

TEST(RandomModel, UsesTheFirstExpertsMoreWithSkew) {
  const std::vector<size_t> counts = expert_counts(1);
  EXPECT_GT(counts[0], 2 * counts[7]);
  EXPECT_GT(counts[1], counts[6]);
}

TEST(RandomModel, UsesAllExpertsAlike) {
  const double mean = 256.0 * 2 * 2 / 8;
  for (const size_t count : expert_counts(0)) {
    EXPECT_GT(static_cast<double>(count), 0.7 * mean);
    EXPECT_LT(static_cast<double>(count), 1.3 * mean);
  }
}

TEST(RandomModel, RefusesAVocabularyThatIsTooSmall) {
  ModelConfig config = small_mixtral();
  config.vocab_size = 100;
  const auto model = make_random_model({"test", config, mix_of("F32"), 0});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kBadInput);
}

TEST(ModelShape, HasTheParametersOfThePublishedModels) {
  EXPECT_EQ(model_shape("mixtral-8x7b")->n_parameters(), 46'702'792'704u);
  EXPECT_EQ(model_shape("mixtral-8x7b")->n_active_parameters(), 12'879'925'248u);
  EXPECT_EQ(model_shape("mixtral-8x22b")->n_parameters(), 140'620'634'112u);
  EXPECT_EQ(model_shape("mistral-7b")->n_parameters(), 7'241'732'096u);
  EXPECT_EQ(model_shape("llama-2-7b")->n_parameters(), 6'738'415'616u);
  EXPECT_EQ(model_shape("llama-2-13b")->n_parameters(), 13'015'864'320u);
  EXPECT_EQ(model_shape("llama-2-70b")->n_parameters(), 68'976'648'192u);
  EXPECT_FALSE(model_shape("gpt-2"));
}

}  // namespace
}  // namespace mixtral::testing
