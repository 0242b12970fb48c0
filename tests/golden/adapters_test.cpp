// Against peft: logits of the tiny Mixtral through adapters that peft saved.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "io/safetensors.h"
#include "support/golden.h"
#include "support/model_runner.h"

namespace mixtral::testing {
namespace {

// peft computes in float32 too: its rounding and ours add up to about 6e-6.
constexpr double kExactTolerance = 5e-5;
// The cache of keys and values has 16 bits: up to 5e-3.
constexpr double kFastTolerance = 0.02;
// Each of these adapters changes some logit, and some token's likelihood, of any sequence by more.
constexpr double kLeastChange = 1;
constexpr size_t kSequences = 3;

Result<std::unique_ptr<Engine>> load(const std::string& model, const BackendCase& backend,
                                     const std::string& adapter) {
  EngineOptions options;
  // Less than the longest sequence: later steps read keys and values that the adapter changed.
  options.chunk_tokens = 16;
  if (!adapter.empty()) {
    options.adapters = {{"lora", adapter}};
    options.default_adapter = "lora";
  }
  return Engine::load(model, make_backend(backend), options);
}

struct Scored {
  std::vector<float> logits;  // [T, columns]
  std::vector<float> nll;     // of each token but the first
};

Scored score(Engine& engine, const std::vector<int32_t>& ids, const std::vector<int32_t>& columns) {
  Scored scored;
  const auto keep = [&](size_t position, std::span<const float> logits) -> Status {
    for (const int32_t id : columns) scored.logits.push_back(logits[static_cast<size_t>(id)]);
    if (position + 1 < ids.size()) {
      scored.nll.push_back(static_cast<float>(nll(logits, ids[position + 1])));
    }
    return {};
  };
  const Status status = engine.score(ids, keep);
  EXPECT_TRUE(status) << status.error().message;
  return scored;
}

struct AdapterCase {
  std::string adapter;
  BackendCase backend;
};

std::vector<AdapterCase> adapter_cases() {
  std::vector<AdapterCase> cases;
  for (const char* adapter : {"all", "attention"}) {
    for (const bool exact : {true, false}) {
      for (const BackendCase& backend : backend_cases(exact)) {
        if (!backend.reference || exact) cases.push_back({adapter, backend});
      }
    }
  }
  return cases;
}

std::string case_name(const ::testing::TestParamInfo<AdapterCase>& info) {
  return info.param.adapter + "_" + info.param.backend.name;
}

class PeftAdapter : public ::testing::TestWithParam<AdapterCase> {};

TEST_P(PeftAdapter, EqualsPeft) {
  const auto& [name, backend] = GetParam();
  MIXTRAL_FIND_GOLDEN(model, "models/mixtral-tiny-f32");
  MIXTRAL_FIND_GOLDEN(adapter, "adapters/" + name);
  const auto golden = read_safetensors(adapter + "/golden.safetensors");
  ASSERT_TRUE(golden) << golden.error().message;
  const auto plain = load(model, backend, ""), adapted = load(model, backend, adapter);
  ASSERT_TRUE(plain) << plain.error().message;
  ASSERT_TRUE(adapted) << adapted.error().message;

  const double tolerance = backend.reference || backend.exact ? kExactTolerance : kFastTolerance;
  const std::vector<int32_t>& columns = golden->at("columns").ints;
  for (size_t i = 0; i < kSequences; ++i) {
    const std::vector<int32_t>& ids = golden->at(fmt::format("input_ids.{}", i)).ints;
    const std::vector<float>& logits = golden->at(fmt::format("logits.{}", i)).floats;
    const std::vector<float>& nll = golden->at(fmt::format("nll.{}", i)).floats;
    const Scored found = score(**adapted, ids, columns), unchanged = score(**plain, ids, columns);
    EXPECT_LT(largest_difference(found.logits, logits), tolerance) << "sequence " << i;
    EXPECT_LT(largest_difference(found.nll, nll), tolerance) << "sequence " << i;
    EXPECT_GT(largest_difference(unchanged.logits, logits), kLeastChange) << "sequence " << i;
    EXPECT_GT(largest_difference(unchanged.nll, nll), kLeastChange) << "sequence " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, PeftAdapter, ::testing::ValuesIn(adapter_cases()), case_name);

TEST(PeftAdapterSettings, RanksByNameAreRefused) {
  MIXTRAL_FIND_GOLDEN(model, "models/mixtral-tiny-f32");
  MIXTRAL_FIND_GOLDEN(adapter, "adapters/pattern");
  const auto engine = load(model, {"reference", true}, adapter);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(engine.error().message.find("rank_pattern is {\"v_proj\":3}"), std::string::npos)
      << engine.error().message;
}

}  // namespace
}  // namespace mixtral::testing
