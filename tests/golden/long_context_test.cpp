// Contexts of 8,192 (sliding window) and 32,768 positions, against transformers.
#include <gtest/gtest.h>

#include <cmath>

#include "io/json.h"
#include "io/safetensors.h"
#include "support/golden.h"
#include "support/model_runner.h"

namespace mixtral::testing {
namespace {

// Mean negative log-likelihood of each 1,024 tokens, and the largest logit error at the golden's
// positions.
struct LongResult {
  std::vector<double> nll_by_1024;
  double logit_error = 0;
};

LongResult run_long(ModelRunner& runner, const std::map<std::string, DenseTensor>& golden) {
  const std::vector<int32_t>& ids = golden.at("input_ids").ints;
  const std::vector<int32_t>& positions = golden.at("positions").ints;
  const std::vector<float>& logits_at = golden.at("logits_at").floats;
  const size_t vocab = runner.config().vocab_size;
  LongResult result;
  std::vector<double> nlls;
  runner.run(ids, 512, [&](size_t position, std::span<const float> logits) {
    if (position + 1 < ids.size()) nlls.push_back(nll(logits, ids[position + 1]));
    for (size_t i = 0; i < positions.size(); ++i) {
      if (static_cast<size_t>(positions[i]) != position) continue;
      for (size_t v = 0; v < vocab; ++v) {
        const double error = std::abs(static_cast<double>(logits[v]) - logits_at[i * vocab + v]);
        result.logit_error = std::max(result.logit_error, error);
      }
    }
  });
  for (size_t begin = 0; begin < nlls.size(); begin += 1024) {
    const size_t end = std::min(begin + 1024, nlls.size());
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += nlls[i];
    result.nll_by_1024.push_back(sum / static_cast<double>(end - begin));
  }
  return result;
}

class LongContext : public ::testing::TestWithParam<std::tuple<std::string, bool>> {};

TEST_P(LongContext, KeepsTheLikelihoodOfTransformers) {
  const auto& [model, exact] = GetParam();
  MIXTRAL_FIND_GOLDEN(folder, "models/" + model);
  const auto golden = read_safetensors(folder + "/golden_long.safetensors");
  ASSERT_TRUE(golden) << golden.error().message;
  const auto json = read_json_file(folder + "/golden.json", 1 << 20);
  ASSERT_TRUE(json) << json.error().message;
  auto runner = ModelRunner::load(folder, make_backend({"best", false, best_isa(), exact}));
  ASSERT_TRUE(runner) << runner.error().message;

  const LongResult result = run_long(**runner, *golden);
  const Json& expected = json->at("long_nll_mean_by_1024");
  ASSERT_EQ(result.nll_by_1024.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(result.nll_by_1024[i], expected[i].get<double>(), 1e-3)
        << "tokens from " << i * 1024;
  }
  if (exact) {
    EXPECT_LT(result.logit_error, 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, LongContext,
                         ::testing::Combine(::testing::Values("mixtral-tiny-f32",
                                                              "mistral-window-bf16"),
                                            ::testing::Bool()),
                         [](const auto& test) {
                           std::string name = std::get<0>(test.param) +
                                              (std::get<1>(test.param) ? "_exact" : "_fast");
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace mixtral::testing
