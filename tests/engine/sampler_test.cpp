#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace mixtral {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

SamplingOptions greedy() {
  SamplingOptions options;
  options.temperature = 0;
  return options;
}

SamplingOptions at_temperature(float temperature) {
  SamplingOptions options;
  options.temperature = temperature;
  return options;
}

int32_t sample_once(const SamplingOptions& options, const std::vector<float>& logits) {
  Sampler sampler(options, logits.size());
  const auto token = sampler.sample(logits);
  EXPECT_TRUE(token) << token.error().message;
  return token ? token->id : -1;
}

// How often each token is drawn in `n` draws of one stream.
std::map<int32_t, double> frequencies(const SamplingOptions& options,
                                      const std::vector<float>& logits, int n = 20000) {
  Sampler sampler(options, logits.size());
  std::map<int32_t, double> counts;
  for (int i = 0; i < n; ++i) counts[sampler.sample(logits)->id] += 1.0 / n;
  return counts;
}

std::set<int32_t> possible(const SamplingOptions& options, const std::vector<float>& logits) {
  std::set<int32_t> ids;
  for (const auto& [id, share] : frequencies(options, logits)) ids.insert(id);
  return ids;
}

// Logits whose softmax at temperature 1 is 0.5, 0.25, 0.15, 0.07, 0.03, not in this order of ids.
const std::vector<float> kFive = {std::log(0.07f), std::log(0.5f), std::log(0.03f), std::log(0.25f),
                                  std::log(0.15f)};

TEST(Sampler, TakesTheLargestLogitWhenGreedy) {
  EXPECT_EQ(sample_once(greedy(), {0.5f, 3.0f, -1.0f, 2.0f}), 1);
}

TEST(Sampler, PrefersTheLowerIdAmongEqualLogits) {
  EXPECT_EQ(sample_once(greedy(), {1.0f, 2.0f, 2.0f, 2.0f}), 1);
  SamplingOptions options = at_temperature(1);
  options.top_k = 2;
  EXPECT_EQ(possible(options, {1.0f, 2.0f, 2.0f, 2.0f}), (std::set<int32_t>{1, 2}));
}

TEST(Sampler, AddsTheBiasFirst) {
  SamplingOptions options = greedy();
  options.logit_bias = {{0, 2.0f}, {0, 0.6f}, {1, -1000.0f}};
  EXPECT_EQ(sample_once(options, {0.5f, 9.0f, 3.0f}), 0);  // 3.1, -991, 3.0
}

TEST(Sampler, DividesPositiveAndMultipliesNegativeLogitsOfSeenTokens) {
  SamplingOptions options = greedy();
  options.repetition_penalty = 2;
  Sampler sampler(options, 3);
  sampler.observe(0, false);
  sampler.observe(2, true);
  EXPECT_EQ(sampler.sample(std::vector<float>{4.0f, 1.9f, 3.0f})->id, 0);     // 2.0, 1.9, 1.5
  EXPECT_EQ(sampler.sample(std::vector<float>{3.7f, 1.9f, 3.0f})->id, 1);     // 1.85, 1.9, 1.5
  EXPECT_EQ(sampler.sample(std::vector<float>{-1.0f, -1.9f, -2.0f})->id, 1);  // -2, -1.9, -4
}

TEST(Sampler, AppliesTheRepetitionPenaltyOnceHoweverOftenATokenWasSeen) {
  SamplingOptions options = greedy();
  options.repetition_penalty = 2;
  Sampler sampler(options, 2);
  for (int i = 0; i < 5; ++i) sampler.observe(0, true);
  EXPECT_EQ(sampler.sample(std::vector<float>{4.0f, 1.9f})->id, 0);
}

TEST(Sampler, CountsOnlyTheAnswerForFrequencyAndPresence) {
  SamplingOptions options = greedy();
  options.frequency_penalty = 0.5f;
  options.presence_penalty = 0.25f;
  Sampler sampler(options, 2);
  sampler.observe(0, false);
  sampler.observe(0, false);
  EXPECT_EQ(sampler.sample(std::vector<float>{1.0f, 0.9f})->id, 0);  // the prompt costs nothing
  const std::vector<float> logits = {1.0f, 0.1f};
  sampler.observe(0, true);  // 1.0 - 0.5 - 0.25 = 0.25
  EXPECT_EQ(sampler.sample(logits)->id, 0);
  sampler.observe(0, true);  // 1.0 - 2 * 0.5 - 0.25 = -0.25
  EXPECT_EQ(sampler.sample(logits)->id, 1);
}

TEST(Sampler, DrawsInProportionToTheSoftmax) {
  const auto share = frequencies(at_temperature(1), kFive);
  // Four standard deviations of 20,000 draws at p = 0.5 are 0.014.
  EXPECT_NEAR(share.at(1), 0.5, 0.015);
  EXPECT_NEAR(share.at(3), 0.25, 0.015);
  EXPECT_NEAR(share.at(4), 0.15, 0.015);
  EXPECT_NEAR(share.at(0), 0.07, 0.015);
  EXPECT_NEAR(share.at(2), 0.03, 0.015);
}

TEST(Sampler, DividesLogitsByTheTemperature) {
  // At 0.5 probabilities square: 0.25, 0.0625, 0.0225, 0.0049, 0.0009, together 0.3408.
  const auto share = frequencies(at_temperature(0.5f), kFive);
  EXPECT_NEAR(share.at(1), 0.25 / 0.3408, 0.015);
  EXPECT_NEAR(share.at(3), 0.0625 / 0.3408, 0.015);
}

TEST(Sampler, KeepsTheTopK) {
  SamplingOptions options = at_temperature(1);
  options.top_k = 2;
  const auto share = frequencies(options, kFive);
  ASSERT_EQ(share.size(), 2u);
  EXPECT_NEAR(share.at(1), 2.0 / 3, 0.015);
  options.top_k = 1;
  EXPECT_EQ(possible(options, kFive), (std::set<int32_t>{1}));
  options.top_k = 99;
  EXPECT_EQ(possible(options, kFive).size(), 5u);
}

TEST(Sampler, KeepsTheFewestTokensThatReachTopP) {
  SamplingOptions options = at_temperature(1);
  options.top_p = 0.4f;
  EXPECT_EQ(possible(options, kFive), (std::set<int32_t>{1}));
  options.top_p = 0.6f;
  EXPECT_EQ(possible(options, kFive), (std::set<int32_t>{1, 3}));
  options.top_p = 0.8f;
  EXPECT_EQ(possible(options, kFive), (std::set<int32_t>{1, 3, 4}));
}

TEST(Sampler, MeasuresTopPAfterTopK) {
  // Of the two left 0.5 is two thirds: enough for 0.6, though it is less than 0.6 of all.
  SamplingOptions options = at_temperature(1);
  options.top_k = 2;
  options.top_p = 0.6f;
  EXPECT_EQ(possible(options, kFive), (std::set<int32_t>{1}));
}

TEST(Sampler, FindsALargeNucleus) {
  const std::vector<float> flat(1000, 1.0f);
  SamplingOptions options = at_temperature(1);
  options.top_p = 0.7f;
  const auto ids = possible(options, flat);
  EXPECT_EQ(*ids.rbegin(), 699);  // equal logits: the lower ids
}

TEST(Sampler, KeepsTokensWithinMinPOfTheBest) {
  SamplingOptions options = at_temperature(1);
  options.min_p = 0.2f;  // 0.2 * 0.5 = 0.1
  EXPECT_EQ(possible(options, kFive), (std::set<int32_t>{1, 3, 4}));
  options.min_p = 0.6f;
  EXPECT_EQ(possible(options, kFive), (std::set<int32_t>{1}));
}

TEST(Sampler, SeesTheTemperatureInMinP) {
  SamplingOptions options = at_temperature(0.5f);
  options.min_p = 0.2f;  // squared ratios: 1, 0.25, 0.09
  EXPECT_EQ(possible(options, kFive), (std::set<int32_t>{1, 3}));
}

TEST(Sampler, RepeatsItselfWithTheSameSeed) {
  const auto draws = [](uint64_t seed) {
    SamplingOptions options = at_temperature(1);
    options.seed = seed;
    Sampler sampler(options, kFive.size());
    std::vector<int32_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.sample(kFive)->id);
    return ids;
  };
  EXPECT_EQ(draws(7), draws(7));
  EXPECT_NE(draws(7), draws(8));
}

TEST(Sampler, NeverDrawsAnImpossibleToken) {
  EXPECT_EQ(possible(at_temperature(5), {-kInfinity, 1.0f, -kInfinity, 1.0f}),
            (std::set<int32_t>{1, 3}));
}

TEST(Sampler, StandsATinyTemperature) {
  EXPECT_EQ(possible(at_temperature(1e-38f), {1.0f, 1.5f, -3.0f}), (std::set<int32_t>{1}));
}

TEST(Sampler, ReportsLogprobsOfTheModelsOwnDistribution) {
  SamplingOptions options = greedy();
  options.n_logprobs = 2;
  options.logit_bias = {{2, 100.0f}};
  std::vector<float> logits = kFive;
  for (float& logit : logits) logit += 3;  // softmax does not mind
  Sampler sampler(options, logits.size());
  const auto token = sampler.sample(logits);
  ASSERT_TRUE(token);
  EXPECT_EQ(token->id, 2);
  EXPECT_NEAR(token->logprob, std::log(0.03), 1e-6);  // f32 logits
  ASSERT_EQ(token->top.size(), 2u);
  EXPECT_EQ(token->top[0].id, 1);
  EXPECT_NEAR(token->top[0].logprob, std::log(0.5), 1e-6);
  EXPECT_EQ(token->top[1].id, 3);
  EXPECT_NEAR(token->top[1].logprob, std::log(0.25), 1e-6);
}

TEST(Sampler, ReportsOnlyTheChosenTokenForZeroLogprobs) {
  SamplingOptions options = greedy();
  options.n_logprobs = 0;
  Sampler sampler(options, kFive.size());
  const auto token = sampler.sample(kFive);
  EXPECT_NEAR(token->logprob, std::log(0.5), 1e-6);
  EXPECT_TRUE(token->top.empty());
}

TEST(Sampler, RefusesLogitsThatAreNoNumbers) {
  for (const auto& options : {greedy(), at_temperature(1)}) {
    Sampler sampler(options, 3);
    const std::vector<float> nan = {1.0f, std::nanf(""), 2.0f}, infinite = {1.0f, 2.0f, kInfinity};
    const auto failed = sampler.sample(nan);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::kDevice);
    EXPECT_NE(failed.error().message.find("token 1"), std::string::npos);
    EXPECT_FALSE(sampler.sample(infinite));
    EXPECT_FALSE(sampler.sample(std::vector<float>(3, -kInfinity)));
  }
}

TEST(Sampler, ChoosesAmongAllowedTokensOnly) {
  std::vector<float> logits(100, 0);
  logits[70] = 5;
  logits[3] = 4;
  logits[99] = 3;
  const std::vector<uint64_t> all = {~uint64_t{0}, (uint64_t{1} << 36) - 1};
  auto some = all;
  some[70 / 64] &= ~(uint64_t{1} << (70 % 64));
  const std::vector<uint64_t> one = {0, uint64_t{1} << (99 - 64)}, none = {0, 0};
  for (const float temperature : {0.0f, 1.0f}) {
    Sampler sampler(at_temperature(temperature), 100), same(at_temperature(temperature), 100);
    for (int i = 0; i < 200; ++i) {
      EXPECT_EQ(sampler.sample(logits, all)->id, same.sample(logits)->id);
      EXPECT_NE(sampler.sample(logits, some)->id, 70);
      EXPECT_TRUE(same.sample(logits, some));
      EXPECT_EQ(sampler.sample(logits, one)->id, 99);
      EXPECT_TRUE(same.sample(logits, one));
    }
    EXPECT_FALSE(sampler.sample(logits, none));
  }
  EXPECT_EQ(Sampler(greedy(), 100).sample(logits, some)->id, 3);
}

TEST(SamplingOptions, AreValidAsTheyStart) { EXPECT_TRUE(validate(SamplingOptions{}, 10)); }

TEST(SamplingOptions, NameTheOneThatIsOutOfRange) {
  const auto message = [](auto change) {
    SamplingOptions options;
    change(options);
    const Status status = validate(options, 10);
    return status ? std::string("valid") : status.error().message;
  };
  const float nan = std::nanf("");
  EXPECT_EQ(message([](auto& o) { o.temperature = -1; }), "temperature: -1, expected 0 or more");
  EXPECT_EQ(message([](auto& o) { o.temperature = kInfinity; }).substr(0, 11), "temperature");
  EXPECT_EQ(message([&](auto& o) { o.temperature = nan; }).substr(0, 11), "temperature");
  EXPECT_EQ(message([](auto& o) { o.top_p = 0; }), "top_p: 0, expected more than 0, at most 1");
  EXPECT_EQ(message([](auto& o) { o.top_p = 1.5f; }).substr(0, 5), "top_p");
  EXPECT_EQ(message([](auto& o) { o.min_p = 1; }), "min_p: 1, expected at least 0, less than 1");
  EXPECT_EQ(message([](auto& o) { o.repetition_penalty = 0; }).substr(0, 18), "repetition_penalty");
  EXPECT_EQ(message([](auto& o) { o.frequency_penalty = 3; }).substr(0, 17), "frequency_penalty");
  EXPECT_EQ(message([](auto& o) { o.presence_penalty = -3; }).substr(0, 16), "presence_penalty");
  EXPECT_EQ(message([](auto& o) {
              o.logit_bias = {{10, 1.0f}};
            }),
            "logit_bias: token id 10, expected 0 to 9");
  EXPECT_EQ(message([](auto& o) { o.logit_bias = {{-1, 1.0f}}; }).substr(0, 10), "logit_bias");
  EXPECT_EQ(message([&](auto& o) { o.logit_bias = {{1, nan}}; }).substr(0, 10), "logit_bias");
  EXPECT_EQ(message([](auto& o) { o.n_logprobs = 11; }).substr(0, 8), "logprobs");
}

}  // namespace
}  // namespace mixtral
