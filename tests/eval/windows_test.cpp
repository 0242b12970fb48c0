#include "eval/windows.h"

#include <gtest/gtest.h>

#include <numeric>

namespace mixtral {
namespace {

std::vector<int32_t> counting(size_t n) {
  std::vector<int32_t> ids(n);
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TEST(Windows, StandSideBySideAndScoreTheSecondHalf) {
  const auto windows = Windows::cut(counting(35), {.context = 10});
  ASSERT_TRUE(windows) << windows.error().message;
  EXPECT_EQ(windows->size(), 3u);
  EXPECT_EQ(windows->n_tokens(), 10u);
  // llama-perplexity asks for the tokens after positions 5 to 8.
  EXPECT_EQ(windows->first_scored(), 6u);
  EXPECT_EQ(windows->n_scored(), 4u);
  EXPECT_EQ(windows->text(2).front(), 20);
  EXPECT_EQ(windows->inputs(2),
            std::vector<int32_t>(windows->text(2).begin(), windows->text(2).end()));
}

TEST(Windows, PutBosInThePlaceOfTheFirstToken) {
  const auto windows = Windows::cut(counting(20), {.context = 10, .bos_id = 99});
  ASSERT_TRUE(windows);
  EXPECT_EQ(windows->inputs(1)[0], 99);
  EXPECT_EQ(windows->inputs(1)[1], 11);
  EXPECT_EQ(windows->text(1)[0], 10);
}

TEST(Windows, WithAStrideScoreEachTokenOnce) {
  // 400 + 100 / 2 tokens, rounded up to 512.
  const auto windows = Windows::cut(counting(1100), {.context = 400, .stride = 100, .bos_id = 99});
  ASSERT_TRUE(windows) << windows.error().message;
  EXPECT_EQ(windows->n_tokens(), 512u);
  EXPECT_EQ(windows->size(), 6u);  // the last begins at 500: one more would need 1112 tokens
  EXPECT_EQ(windows->n_scored(), 100u);
  for (size_t w = 0; w + 1 < windows->size(); ++w)
    EXPECT_EQ(windows->text(w).back() + 1, windows->text(w + 1)[windows->first_scored()]);
  EXPECT_EQ(windows->inputs(1)[0], 100);  // no BOS
}

TEST(Windows, CanBeFewer) {
  EXPECT_EQ(Windows::cut(counting(100), {.context = 10, .max_windows = 3})->size(), 3u);
  EXPECT_EQ(Windows::cut(counting(100), {.context = 10, .max_windows = 30})->size(), 10u);
}

TEST(Windows, NeedTwoWindowsOfText) {
  EXPECT_TRUE(Windows::cut(counting(20), {.context = 10}));
  const auto windows = Windows::cut(counting(19), {.context = 10});
  ASSERT_FALSE(windows);
  EXPECT_EQ(windows.error().message,
            "the text has 19 tokens, expected at least 20 for windows of 10");
}

}  // namespace
}  // namespace mixtral
