#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

namespace mixtral {
namespace {

// The whole text that comes out when `text` arrives in pieces of `piece` bytes.
std::string run(std::vector<std::string> stop, const std::string& text, size_t piece) {
  StopMatcher matcher(std::move(stop));
  std::string out;
  for (size_t i = 0; i < text.size() && !matcher.stopped(); i += piece) {
    out += matcher.push(text.substr(i, piece));
  }
  return matcher.stopped() ? out + "|" : out + matcher.finish();
}

TEST(StopMatcher, PassesEverythingWithoutStopStrings) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("hello"), "hello");
  EXPECT_EQ(matcher.finish(), "");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, HoldsBackWhatCouldBeginAStopString) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(matcher.push("go S"), "go ");
  EXPECT_EQ(matcher.push("TO"), "");
  EXPECT_EQ(matcher.push("NE"), "STONE");
  EXPECT_EQ(matcher.push(" ST"), " ");
  EXPECT_EQ(matcher.finish(), "ST");
}

TEST(StopMatcher, EndsBeforeTheStopString) {
  StopMatcher matcher({"\n\n"});
  EXPECT_EQ(matcher.push("one\n"), "one");
  EXPECT_EQ(matcher.push("two\n"), "\ntwo");
  EXPECT_EQ(matcher.push("\nthree"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, DoesNotDependOnHowTheTextIsCut) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"abc"}, "xxababcyy"},       {{"abc", "b"}, "xxabcyy"},  {{"aab"}, "aaaab"},
      {{"bcd", "abcde"}, "zabcde"}, {{"cd", "bcd"}, "zabcdef"}, {{"never"}, "nevnevnever"},
      {{"x", "y"}, "no such thing"}};
  for (const auto& [stop, text] : cases) {
    const std::string whole = run(stop, text, text.size());
    for (size_t piece = 1; piece < text.size(); ++piece) {
      EXPECT_EQ(run(stop, text, piece), whole) << text << " in pieces of " << piece;
    }
  }
}

TEST(StopMatcher, CountsTheStopStringThatIsCompleteFirst) {
  EXPECT_EQ(run({"abc", "b"}, "xxabcyy", 7), "xxa|");
  EXPECT_EQ(run({"cd", "bcd"}, "zabcdef", 7), "za|");  // both end at once: the longer one
}

TEST(StopMatcher, TellsWhichStringEndedTheText) {
  StopMatcher matcher({"never", "the end"});
  matcher.push("this is the e");
  EXPECT_EQ(matcher.found(), nullptr);
  matcher.push("nd.");
  ASSERT_NE(matcher.found(), nullptr);
  EXPECT_EQ(*matcher.found(), "the end");
}

}  // namespace
}  // namespace mixtral
