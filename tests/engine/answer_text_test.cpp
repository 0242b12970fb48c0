#include "engine/answer_text.h"

#include <gtest/gtest.h>

#include "support/golden.h"

namespace mixtral {
namespace {

std::unique_ptr<Tokenizer> mixtral_tokenizer(const std::string& path) {
  auto tokenizer = Tokenizer::load(path);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return tokenizer ? *std::move(tokenizer) : nullptr;
}

// What a reader sees of the tokens of `text`, and whether a stop string ended it.
std::pair<std::string, bool> stream(const Tokenizer& tokenizer, const std::string& text,
                                    std::vector<std::string> stop, bool strip = true) {
  AnswerText answer(&tokenizer, std::move(stop), strip);
  std::string out;
  for (const int32_t id : tokenizer.encode(text)) {
    out += answer.push(id);
    if (answer.stopped()) return {out, true};
  }
  return {out + answer.finish(), answer.stopped()};
}

TEST(AnswerText, FindsStopStringsAcrossTokens) {
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/tokenizer.model");
  const auto tokenizer = mixtral_tokenizer(path);
  const std::string text = "Roses are red, violets are blue. 日本語 🤗 end.";
  for (const std::string stop : {"red, vio", "t", "blue.", "本語 🤗", "🤗", "end."}) {
    ASSERT_NE(text.find(stop), std::string::npos);
    EXPECT_EQ(stream(*tokenizer, text, {stop}), std::pair(text.substr(0, text.find(stop)), true));
  }
  EXPECT_EQ(stream(*tokenizer, text, {"red, yellow", "end.."}), std::pair(text, false));
}

TEST(AnswerText, KeepsOrStripsTheFirstSpace) {
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/tokenizer.model");
  const auto tokenizer = mixtral_tokenizer(path);
  EXPECT_EQ(stream(*tokenizer, "Hello", {}, true).first, "Hello");
  EXPECT_EQ(stream(*tokenizer, "Hello", {}, false).first, " Hello");
}

TEST(AnswerText, IsEmptyWithoutATokenizer) {
  AnswerText answer(nullptr, {"x"}, false);
  EXPECT_EQ(answer.push(5), "");
  EXPECT_EQ(answer.finish(), "");
  EXPECT_FALSE(answer.stopped());
}

TEST(AnswerText, LetsTokensPassThatMayNotStop) {
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/tokenizer.model");
  const auto tokenizer = mixtral_tokenizer(path);
  AnswerText answer(tokenizer.get(), {"red"}, true);
  std::string out;
  size_t n = 0;
  for (const int32_t id : tokenizer->encode("red roses, red wine")) {
    if (!answer.stopped()) out += answer.push(id, ++n > 2);
  }
  EXPECT_EQ(out, "red roses, ");
  ASSERT_NE(answer.found_stop(), nullptr);
  EXPECT_EQ(*answer.found_stop(), "red");
}

}  // namespace
}  // namespace mixtral
