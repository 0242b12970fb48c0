#include "convert/upcycle.h"

#include <gtest/gtest.h>

#include "convert/compare_models.h"
#include "convert/router_source.h"
#include "convert/weight_stream.h"
#include "model_files.h"
#include "ops/reference.h"
#include "support/golden.h"
#include "support/model_runner.h"

namespace mixtral::testing {
namespace {

const std::vector<int32_t> kIds = {1,  5,  700, 3,  99, 1023, 12, 12, 512, 8,
                                   40, 41, 42,  43, 44, 45,   46, 47, 48,  49};

Result<WriteReport> upcycle_to(const std::string& from, const std::string& to,
                               const UpcycleOptions& options = {}) {
  MIXTRAL_TRY(const Checkpoint checkpoint, Checkpoint::open(from));
  MIXTRAL_TRY(ModelSource dense, model_source(checkpoint));
  MIXTRAL_TRY(const ModelSource sparse, upcycle(std::move(dense), options));
  return write_model(sparse, format_of_path(to), to, {}, nullptr);
}

class Upcycle : public ::testing::TestWithParam<std::string_view> {};

TEST_P(Upcycle, ComputesTheSameFunctionInBothFormats) {
  MIXTRAL_FIND_GOLDEN(dense, "models/" + std::string(GetParam()));
  const TemporaryFolder temporary;
  for (const std::string& out : {temporary.file("sparse"), temporary.file("sparse.gguf")}) {
    ASSERT_TRUE(upcycle_to(dense, out, {.n_experts = 5, .n_experts_per_token = 3}));
    const Checkpoint sparse = open_model(out);
    EXPECT_EQ(sparse.config().n_experts, 5u);
    EXPECT_EQ(sparse.config().n_experts_per_token, 3u);
    const auto comparison =
        compare_models(open_model(dense), sparse, kIds, reference_backend, nullptr);
    ASSERT_TRUE(comparison) << comparison.error().message;
    // The weights of the chosen experts sum to one but for rounding in float32.
    EXPECT_LT(comparison->largest_difference, 1e-5f * comparison->largest_logit);
    EXPECT_EQ(comparison->n_same_best, kIds.size());
    EXPECT_TRUE(comparison->same_function());
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Upcycle,
                         ::testing::Values<std::string_view>("llama2-f16", "llama-tied-f32",
                                                             "mistral-window-bf16"),
                         case_name);

TEST(Upcycle, CopiesEveryExpertBitByBit) {
  MIXTRAL_FIND_GOLDEN(dense_path, "models/llama2-f16");
  const TemporaryFolder temporary;
  ASSERT_TRUE(upcycle_to(dense_path, temporary.file("sparse.gguf")));
  const Checkpoint dense = open_model(dense_path),
                   sparse = open_model(temporary.file("sparse.gguf"));
  for (const Role role : {Role::kWGate, Role::kWUp, Role::kWDown}) {
    const auto original = dense.source({role, 1}), copies = sparse.source({role, 1});
    ASSERT_EQ(copies->n_matrices(), 8u);
    for (size_t expert = 0; expert < 8; ++expert) {
      EXPECT_EQ(copies->type(expert), Type::kF16);
      EXPECT_TRUE(matrix_bytes(*copies, expert) == matrix_bytes(*original, 0)) << expert;
    }
  }
}

TEST(Upcycle, RefusesAModelThatHasExperts) {
  MIXTRAL_FIND_GOLDEN(sparse, "models/mixtral-tiny-f32");
  const TemporaryFolder temporary;
  const auto report = upcycle_to(sparse, temporary.file("out.gguf"));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kBadInput);
  EXPECT_EQ(report.error().message,
            "the model has 8 experts already, expected a dense model to upcycle");
}

TEST(Upcycle, RefusesNumbersThatMakeNoSense) {
  MIXTRAL_FIND_GOLDEN(dense, "models/llama2-f16");
  const TemporaryFolder temporary;
  const UpcycleOptions cases[] = {{.n_experts = 1},
                                  {.n_experts = 5000},
                                  {.n_experts_per_token = 0},
                                  {.n_experts = 4, .n_experts_per_token = 5},
                                  {.router_std = -1.0}};
  for (const UpcycleOptions& options : cases) {
    const auto report = upcycle_to(dense, temporary.file("out.gguf"), options);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::kBadInput);
  }
}

std::vector<float> router_values(const RandomRouter& router) {
  const std::vector<std::byte> bytes = matrix_bytes(*make_random_router(router), 0);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(RandomRouter, HasTheStandardDeviationAskedForAndNoMean) {
  const auto values =
      router_values({.layer = 3, .n_experts = 8, .dim = 4096, .standard_deviation = 0.02});
  double sum = 0, squares = 0;
  for (const float value : values) {
    sum += value;
    squares += double{value} * value;
  }
  const double n = static_cast<double>(values.size());
  EXPECT_NEAR(sum / n, 0.0, 0.0005);  // 4.5 standard errors
  EXPECT_NEAR(std::sqrt(squares / n), 0.02, 0.0005);
}

TEST(RandomRouter, DependsOnSeedAndLayerOnly) {
  const RandomRouter router = {.layer = 1, .n_experts = 4, .dim = 16, .standard_deviation = 1};
  EXPECT_EQ(router_values(router), router_values(router));
  RandomRouter other_seed = router, other_layer = router;
  other_seed.seed = 1;
  other_layer.layer = 2;
  EXPECT_NE(router_values(router), router_values(other_seed));
  EXPECT_NE(router_values(router), router_values(other_layer));
}

TEST(RandomRouter, SurvivesBothSixteenBitTypes) {
  for (const double deviation : {1.0, 0.02, 1e-5, 1e-7}) {
    const auto router =
        make_random_router({.n_experts = 8, .dim = 1024, .standard_deviation = deviation});
    EXPECT_TRUE(holds_exactly(*router, Type::kF16).value()) << deviation;
    EXPECT_TRUE(holds_exactly(*router, Type::kBF16).value()) << deviation;
  }
}

TEST(CompareModels, SeesThatModelsDiffer) {
  MIXTRAL_FIND_GOLDEN(first, "models/mixtral-tiny-f32");
  MIXTRAL_FIND_GOLDEN(second, "models/llama-tied-f32");  // of the same vocabulary
  const auto comparison =
      compare_models(open_model(first), open_model(second), kIds, reference_backend, nullptr);
  ASSERT_TRUE(comparison) << comparison.error().message;
  EXPECT_FALSE(comparison->same_function());
  EXPECT_LT(comparison->n_same_best, kIds.size());
}

TEST(CompareModels, RunsLongTextsInChunksAsOneSequence) {
  MIXTRAL_FIND_GOLDEN(path, "models/mixtral-tiny-f32");
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 150; ++i) ids.push_back(i * 37 % 1024);
  const auto comparison =
      compare_models(open_model(path), open_model(path), ids, reference_backend, nullptr);
  ASSERT_TRUE(comparison) << comparison.error().message;
  EXPECT_EQ(comparison->n_positions, ids.size());
  auto runner = ModelRunner::load(path, make_reference_backend());
  ASSERT_TRUE(runner) << runner.error().message;
  float largest = 0;
  for (const float logit : (*runner)->run(ids, ids.size()).logits)
    largest = std::max(largest, std::abs(logit));
  EXPECT_EQ(comparison->largest_logit, largest);
}

TEST(CompareModels, RefusesIdsOutsideTheVocabulary) {
  MIXTRAL_FIND_GOLDEN(path, "models/llama-tied-f32");
  const std::vector<int32_t> ids = {1, 1024};
  const auto comparison =
      compare_models(open_model(path), open_model(path), ids, reference_backend, nullptr);
  ASSERT_FALSE(comparison);
  EXPECT_NE(comparison.error().message.find("token id 1024, expected 0 to 1023"),
            std::string::npos);
}

}  // namespace
}  // namespace mixtral::testing
