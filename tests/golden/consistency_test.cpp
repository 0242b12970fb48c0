// The engine against itself: the same bits whatever the chunks, the threads and the instruction
// set's path.
#include <gtest/gtest.h>

#include "core/rng.h"
#include "support/golden.h"
#include "support/model_runner.h"

namespace mixtral::testing {
namespace {

std::vector<int32_t> random_ids(size_t n, size_t vocab) {
  Rng rng(99);
  std::vector<int32_t> ids(n);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(vocab));
  return ids;
}

const char* const kModels[] = {"models/mixtral-tiny-f32",    "models/mixtral-odd-f16",
                               "models/mistral-window-bf16", "gguf/mixtral-Q4_K_M.gguf",
                               "gguf/mixtral-IQ4_XS.gguf",   "gguf/mixtral-Q2_K.gguf"};

struct ConsistencyCase {
  std::string model;
  BackendCase backend;
};

std::vector<ConsistencyCase> consistency_cases() {
  std::vector<ConsistencyCase> cases;
  for (const char* model : kModels) {
    for (const bool exact : {true, false}) {
      for (const BackendCase& backend : backend_cases(exact)) {
        if (!backend.reference || exact) cases.push_back({model, backend});
      }
    }
  }
  return cases;
}

class Consistency : public ::testing::TestWithParam<ConsistencyCase> {};

TEST_P(Consistency, GivesTheSameBitsForAnyChunks) {
  MIXTRAL_FIND_GOLDEN(path, GetParam().model);
  auto runner = ModelRunner::load(path, make_backend(GetParam().backend));
  ASSERT_TRUE(runner) << runner.error().message;
  const std::vector<int32_t> ids = random_ids(150, (*runner)->config().vocab_size);
  const std::vector<float> whole = (*runner)->run(ids, ids.size()).logits;
  for (const size_t chunk : {size_t{1}, size_t{7}, size_t{64}}) {
    EXPECT_EQ((*runner)->run(ids, chunk).logits, whole) << "chunks of " << chunk;
  }
}

TEST_P(Consistency, GivesTheSameBitsForAnyThreads) {
  if (GetParam().backend.reference) GTEST_SKIP() << "the reference has one thread";
  MIXTRAL_FIND_GOLDEN(path, GetParam().model);
  std::vector<float> first;
  for (const size_t threads : {1, 2, 3, 5}) {
    auto runner = ModelRunner::load(path, make_backend(GetParam().backend, threads));
    ASSERT_TRUE(runner) << runner.error().message;
    const std::vector<int32_t> ids = random_ids(70, (*runner)->config().vocab_size);
    const std::vector<float> logits = (*runner)->run(ids, 33).logits;
    if (first.empty()) first = logits;
    EXPECT_EQ(logits, first) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Self, Consistency, ::testing::ValuesIn(consistency_cases()),
                         [](const auto& test) {
                           std::string name = test.param.model + "_" + test.param.backend.name;
                           for (char& c : name) {
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace mixtral::testing
