#include "eval/kl_divergence.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "eval/base_file.h"
#include "eval/perplexity.h"
#include "support/golden.h"
#include "support/tiny_checkpoint.h"

namespace mixtral::testing {
namespace {

// log 2 + log 4 + ... of a distribution over four tokens.
const std::array<float, 4> kBase = {std::log(0.5f), std::log(0.25f), std::log(0.125f),
                                    std::log(0.125f)};

TEST(LogProbs, LogSumExpIsStable) {
  const std::array<float, 3> logits = {1000, 1000, -1000};
  EXPECT_NEAR(log_sum_exp(logits), 1000 + std::log(2.0), 1e-9);
}

TEST(LogProbs, MeanHasItsStandardError) {
  Mean mean;
  for (const double x : {1.0, 2.0, 3.0, 4.0}) mean.add(x);
  EXPECT_DOUBLE_EQ(mean.estimate().value, 2.5);
  EXPECT_DOUBLE_EQ(mean.estimate().error, std::sqrt(1.25 / 3));
}

TEST(KlDivergence, OfAHandMadeDistribution) {
  const std::array<float, 4> uniform = {7, 7, 7, 7};
  // 1/2 log 2 + 1/4 log 1 + 2 * 1/8 log 1/2
  EXPECT_NEAR(kl_divergence(kBase, uniform), 0.25 * std::log(2.0), 1e-6);
  std::array<float, 4> same = kBase;
  for (float& logit : same) logit += 3;
  EXPECT_NEAR(kl_divergence(kBase, same), 0, 1e-6);
}

TEST(KlDivergence, AddsUpOverTokens) {
  KlDivergence kl;
  const std::array<float, 4> other = {0, 9, 0, 0};
  kl.add(0, kBase, kBase);
  kl.add(1, kBase, kBase);
  kl.add(2, kBase, other);
  const double largest = kl_divergence(kBase, other);
  EXPECT_NEAR(kl.mean().value, largest / 3, 1e-6);
  EXPECT_NEAR(kl.quantile(0.5), 0, 1e-6);
  EXPECT_NEAR(kl.quantile(0.75), largest / 2, 1e-6);
  EXPECT_DOUBLE_EQ(kl.quantile(1), largest);
  EXPECT_NEAR(kl.same_top().value, 2.0 / 3, 1e-12);
  EXPECT_NEAR(kl.base_nll().value, std::log(2.0) * (1 + 2 + 3) / 3, 1e-6);
  EXPECT_NEAR(kl.nll_difference().value, (log_sum_exp(other) - 3 * std::log(2.0)) / 3, 1e-6);
}

TEST(Perplexity, OfUniformPredictionsIsTheVocabulary) {
  Perplexity perplexity;
  const std::array<float, 4> uniform = {7, 7, 7, 7};
  for (const int32_t id : {0, 1, 3}) perplexity.add({0, 1, id, uniform}, 2);
  EXPECT_NEAR(perplexity.perplexity().value, 4, 1e-9);
  EXPECT_NEAR(perplexity.perplexity().error, 0, 1e-6);
  EXPECT_NEAR(perplexity.bits_per_byte(), 1, 1e-9);  // two bits for two bytes
  EXPECT_EQ(perplexity.n_bytes(), 6u);
}

Windows some_windows() {
  std::vector<int32_t> ids(16);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i % 5);
  return *Windows::cut(ids, {.context = 8});
}

// A file with the scored tokens' logits shifted and tokens far below the best.
void write_base(const std::string& path, const Windows& windows) {
  auto writer = BaseFileWriter::create(path, windows, 5);
  ASSERT_TRUE(writer) << writer.error().message;
  for (size_t i = 0; i < windows.size() * windows.n_scored(); ++i) {
    const auto offset = static_cast<float>(i);
    const std::array<float, 5> logits = {offset, offset + 1, offset - 2, offset - 40, offset};
    ASSERT_TRUE(writer->write(logits));
  }
  ASSERT_TRUE(writer->finish());
}

TEST(BaseFile, KeepsLogProbabilities) {
  const TemporaryFolder folder;
  const Windows windows = some_windows();
  write_base(folder.file("base"), windows);
  auto base = BaseFile::open(folder.file("base"));
  ASSERT_TRUE(base) << base.error().message;
  EXPECT_EQ(base->window_tokens(), 8u);
  EXPECT_EQ(base->vocab_size(), 5u);
  ASSERT_EQ(base->ids().size(), 16u);
  EXPECT_EQ(base->ids()[9], windows.text(1)[1]);
  const std::array<float, 5> logits = {0, 1, -2, -40, 0};
  for (size_t token = 0; token < 6; ++token) {
    const auto log_probs = base->log_probs(token);
    ASSERT_TRUE(log_probs) << log_probs.error().message;
    for (size_t i = 0; i < logits.size(); ++i) {
      const double exact = std::max(double{logits[i]}, 1.0 - 16) - log_sum_exp(logits);
      EXPECT_NEAR((*log_probs)[i], exact, 16.0 / 65535) << i;  // half a code, and its rounding
    }
  }
}

TEST(BaseFile, RefusesWhatIsNone) {
  const TemporaryFolder folder;
  const std::string path = folder.file("base");
  const auto error_of = [&] {
    const auto base = BaseFile::open(path);
    return base ? std::string() : base.error().message;
  };
  write_text(path, "_logits_");
  EXPECT_NE(error_of().find("too short"), std::string::npos);
  write_text(path, std::string(20, 'x'));
  EXPECT_NE(error_of().find("does not begin with _logits_"), std::string::npos);
  write_text(path, "_logits_" + std::string(12, '\xff'));
  EXPECT_NE(error_of().find("-1 windows of -1 tokens"), std::string::npos);
  write_text(path, "_logits_" + std::string("\xff\xff\xff\x7f\xff\xff\xff\x7f\xff\xff\xff\x7f"));
  EXPECT_NE(error_of().find("20 bytes, expected"), std::string::npos);
  EXPECT_FALSE(BaseFile::open(folder.file("missing")));
}

}  // namespace
}  // namespace mixtral::testing
