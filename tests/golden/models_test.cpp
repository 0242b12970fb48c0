// Against transformers: logits, hidden states, router logits and greedy tokens of small random
// models.
#include <gtest/gtest.h>

#include <cmath>

#include "io/json.h"
#include "io/safetensors.h"
#include "support/golden.h"
#include "support/model_runner.h"

namespace mixtral::testing {
namespace {

// transformers computes in float32 too: its own rounding and ours add up to about 3e-5.
constexpr double kExactTolerance = 2e-4;

struct ModelCase {
  std::string model;
  BackendCase backend;
};

std::vector<ModelCase> model_cases(bool exact) {
  std::vector<ModelCase> cases;
  for (const char* model :
       {"mixtral-tiny-f32", "mixtral-tiny-f32-mistral", "mixtral-small-bf16", "mixtral-odd-f16",
        "mistral-window-bf16", "llama2-f16", "llama-tied-f32"}) {
    for (const BackendCase& backend : backend_cases(exact)) cases.push_back({model, backend});
  }
  return cases;
}

std::string case_name(const ::testing::TestParamInfo<ModelCase>& info) {
  std::string name = info.param.model + "_" + info.param.backend.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class ExactModel : public ::testing::TestWithParam<ModelCase> {};

TEST_P(ExactModel, EqualsTransformers) {
  MIXTRAL_FIND_GOLDEN(folder, "models/" + GetParam().model);
  const auto golden = read_safetensors(folder + "/golden.safetensors");
  ASSERT_TRUE(golden) << golden.error().message;
  auto runner = ModelRunner::load(folder, make_backend(GetParam().backend));
  ASSERT_TRUE(runner) << runner.error().message;

  const std::vector<int32_t>& ids = golden->at("input_ids").ints;
  const ModelOutputs outputs = (*runner)->run(ids, ids.size());
  EXPECT_LT(largest_difference(outputs.logits, golden->at("logits").floats), kExactTolerance);
  for (size_t i = 0; i < outputs.hidden.size(); ++i) {
    const auto& expected = golden->at(fmt::format("hidden.{}", i)).floats;
    EXPECT_LT(largest_difference(outputs.hidden[i], expected), kExactTolerance) << "hidden." << i;
  }
  for (size_t i = 0; i < outputs.router_logits.size(); ++i) {
    const auto& expected = golden->at(fmt::format("router_logits.{}", i)).floats;
    EXPECT_LT(largest_difference(outputs.router_logits[i], expected), kExactTolerance)
        << "layer " << i;
  }
  EXPECT_EQ(golden->count("router_logits.0"), outputs.router_logits.empty() ? 0u : 1u);
  EXPECT_EQ((*runner)->greedy(ids, 32), golden->at("greedy").ints);
}

INSTANTIATE_TEST_SUITE_P(Golden, ExactModel, ::testing::ValuesIn(model_cases(true)), case_name);

class FastModel : public ::testing::TestWithParam<ModelCase> {};

TEST_P(FastModel, KeepsTheLikelihoodOfTransformers) {
  MIXTRAL_FIND_GOLDEN(folder, "models/" + GetParam().model);
  const auto golden = read_safetensors(folder + "/golden.safetensors");
  ASSERT_TRUE(golden) << golden.error().message;
  auto runner = ModelRunner::load(folder, make_backend(GetParam().backend));
  ASSERT_TRUE(runner) << runner.error().message;
  const std::vector<int32_t>& ids = golden->at("input_ids").ints;
  const size_t vocab = (*runner)->config().vocab_size;
  const double expected = mean_nll(golden->at("logits").floats, ids, vocab);
  const double found = mean_nll((*runner)->run(ids, ids.size()).logits, ids, vocab);
  EXPECT_NEAR(found, expected, 0.01 * expected);
}

INSTANTIATE_TEST_SUITE_P(Golden, FastModel, ::testing::ValuesIn(model_cases(false)), case_name);

// Quantised files: gguf-py's dequantisation and transformers give the reference.
class GgufFileType : public ::testing::TestWithParam<ModelCase> {};

TEST_P(GgufFileType, KeepsTheLikelihoodOfTheDequantisedModel) {
  const std::string name = GetParam().model;
  MIXTRAL_FIND_GOLDEN(path, "gguf/mixtral-" + name + ".gguf");
  const std::string folder = path.substr(0, path.rfind('/'));
  const auto golden = read_safetensors(folder + "/golden.safetensors");
  ASSERT_TRUE(golden) << golden.error().message;
  const auto logits = golden->find("logits." + name);
  ASSERT_NE(logits, golden->end());
  auto runner = ModelRunner::load(path, make_backend(GetParam().backend));
  ASSERT_TRUE(runner) << runner.error().message;

  const std::vector<int32_t>& ids = golden->at("input_ids").ints;
  const size_t vocab = (*runner)->config().vocab_size;
  const ModelOutputs outputs = (*runner)->run(ids, ids.size());
  const double expected = mean_nll(logits->second.floats, ids, vocab);
  const double found = mean_nll(outputs.logits, ids, vocab);
  if (GetParam().backend.reference || GetParam().backend.exact) {
    EXPECT_NEAR(found, expected, 1e-3);
    EXPECT_LT(largest_difference(outputs.logits, logits->second.floats), kExactTolerance);
  } else {
    EXPECT_NEAR(found, expected, 0.01 * expected);
  }
}

std::vector<ModelCase> gguf_cases() {
  std::vector<ModelCase> cases;
  for (const char* type :
       {"F32", "F16", "F16-one-tensor-per-expert", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
        "Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS"}) {
    for (const bool exact : {true, false}) {
      for (const BackendCase& backend : backend_cases(exact)) {
        if (!backend.reference || exact) cases.push_back({type, backend});
      }
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufFileType, ::testing::ValuesIn(gguf_cases()), case_name);

}  // namespace
}  // namespace mixtral::testing
