// Every file type on the fast kernels against the reference backend on the same file.
#include <gtest/gtest.h>

#include <algorithm>

#include "eval/perplexity.h"
#include "support/golden.h"
#include "support/model_runner.h"

namespace mixtral::testing {
namespace {

double perplexity_of(const std::string& path, std::unique_ptr<Backend> backend) {
  EngineOptions options;
  options.context_len = 128;
  auto engine = Engine::load(path, std::move(backend), options);
  EXPECT_TRUE(engine) << engine.error().message;
  const size_t vocab_size = (*engine)->model().config().vocab_size;
  std::vector<int32_t> ids(6 * options.context_len);
  uint32_t state = 1;
  for (int32_t& id : ids) {
    state = state * 1664525 + 1013904223;
    id = static_cast<int32_t>((state >> 8) % vocab_size);
  }
  const auto windows = Windows::cut(std::move(ids), {.context = options.context_len});
  Perplexity perplexity;
  const Status status = score_windows(
      **engine, *windows,
      [&](const ScoredToken& token) -> Status {
        perplexity.add(token, 1);
        return {};
      },
      nullptr);
  EXPECT_TRUE(status) << status.error().message;
  return perplexity.perplexity().value;
}

class PerplexityOfType : public ::testing::TestWithParam<const char*> {};

TEST_P(PerplexityOfType, IsThatOfTheReference) {
  MIXTRAL_FIND_GOLDEN(path, "gguf/mixtral-" + std::string(GetParam()) + ".gguf");
  const double expected = perplexity_of(path, make_backend({"reference", true}));
  for (const BackendCase& backend : backend_cases(false)) {
    const double found = perplexity_of(path, make_backend(backend));
    // Rounding activations to eight bits moves single tokens by more, the mean of many by less.
    EXPECT_NEAR(found, expected, 0.005 * expected) << backend.name;
  }
}

std::string type_of(const ::testing::TestParamInfo<const char*>& info) { return info.param; }

INSTANTIATE_TEST_SUITE_P(Golden, PerplexityOfType,
                         ::testing::Values("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0",
                                           "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M",
                                           "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS"),
                         type_of);

}  // namespace
}  // namespace mixtral::testing
