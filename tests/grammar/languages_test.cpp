// Small languages: which texts regular expressions, choices and GBNF grammars allow.
#include "grammar/grammar_support.h"

namespace mixtral::testing {
namespace {

struct Case {
  std::string source;
  std::vector<std::string> good, bad;
};

void expect_texts(const Grammar::Pointer& grammar, const Case& each) {
  ASSERT_NE(grammar, nullptr) << each.source;
  for (const std::string& text : each.good) {
    EXPECT_TRUE(matches(grammar, text)) << each.source << " should match " << text;
  }
  for (const std::string& text : each.bad) {
    EXPECT_FALSE(matches(grammar, text)) << each.source << " should not match " << text;
  }
}

TEST(Regex, MatchesWholeTexts) {
  const std::vector<Case> cases = {
      {"abc", {"abc"}, {"", "ab", "abcd"}},
      {"^a|b$", {"a", "b"}, {"ab", ""}},
      {"a*", {"", "a", "aaaa"}, {"b", "ab"}},
      {"a+?b??", {"a", "aab"}, {"b", "abb"}},
      {"a{2}", {"aa"}, {"a", "aaa"}},
      {"a{2,}", {"aa", "aaaaa"}, {"a"}},
      {"(?:ab){1,3}", {"ab", "abab", "ababab"}, {"", "aba", "abababab"}},
      {"a{0,2}a{0,2}", {"", "a", "aaaa"}, {"aaaaa"}},
      {"(a|b(c|d))*e", {"e", "abce", "bdbde"}, {"be", "ac"}},
      {"(?<year>\\d{4})-(?P<month>\\d\\d)", {"2024-05"}, {"2024-5"}},
      {"(a*)*", {"", "aaa"}, {"b"}},
      {"(a?){3}b", {"b", "aab", "aaab"}, {"aaaab"}},
      {"(|a)+", {"", "aa"}, {"b"}},
      {"[a-c]", {"a", "c"}, {"d", "-"}},
      {"[-a]", {"-", "a"}, {"b"}},
      {"[^a-c]", {"d", "é", "😀", "\n"}, {"a", "\xff", ""}},
      {"[\\]\\-x]", {"]", "-", "x"}, {"\\"}},
      {"[\\d_]", {"7", "_"}, {"a"}},
      {"[^\\d]", {"a"}, {"7"}},
      {"\\D\\W\\S", {"a+b"}, {"1+b", "aab", "a+ "}},
      {"\\s", {" ", "\t"}, {"a", "\xc2\xa0"}},
      {".", {"a", "é"}, {"\n", ""}},
      {"é{2}", {"éé"}, {"é"}},
      {"[α-ω]+", {"αβγω"}, {"a", "Ω"}},
      {"[\\u0100-\\u{10FFFF}]", {"Ā", "😀", "\xee\x80\x80"}, {"a", "\xed\xa0\x80"}},
      {"\\x41\\u0042\\u{43}\\.\\/\\t", {"ABC./\t"}, {"ABCx/\t"}},
      {"", {""}, {"a"}},
  };
  for (const Case& each : cases) expect_texts(checked(Grammar::regex(each.source)), each);
}

TEST(Regex, RefusesWhatItCannotDoAndNamesTheOffset) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"(a", "offset 2"},    {"a)", "offset 1"},       {"*a", "offset 0"},
      {"a**", "offset 2"},   {"a{3,2}", "offset 6"},   {"a{", "offset 2"},
      {"[a", "offset 2"},    {"[b-a]", "offset 4"},    {"a\\", "offset 2"},
      {"(?=a)", "offset 2"}, {"(?<!a)", "offset 2"},   {"(a)\\1", "offset 4"},
      {"\\bx", "offset 1"},  {"\\p{L}", "offset 1"},   {"a^b", "offset 1"},
      {"(a$)", "offset 2"},  {"\\q", "offset 1"},      {"a\xff", "offset 1"},
      {"\\ud800", "offset"}, {"a{9999999}", "offset"}, {"x{1}}", "offset 4"},
  };
  for (const auto& [pattern, place] : cases) {
    const auto grammar = Grammar::regex(pattern);
    ASSERT_FALSE(grammar.has_value()) << pattern;
    EXPECT_NE(grammar.error().message.find(place), std::string::npos)
        << pattern << ": " << grammar.error().message;
  }
  EXPECT_FALSE(Grammar::regex(std::string(60'000, '(') + std::string(60'000, ')')).has_value());
  EXPECT_FALSE(Grammar::regex("(a?){1000}").has_value());
  EXPECT_FALSE(Grammar::regex("[^\\x00-\\u{10ffff}]").has_value());
}

TEST(Regex, CountsWithoutUnrolling) {
  const auto grammar = checked(Grammar::regex("(a{1000}b?){1000}"));
  EXPECT_LT(grammar->rules().n_nodes(), 20u);
  EXPECT_TRUE(matches(checked(Grammar::regex("[ab]{1000}")), std::string(1000, 'a')));
  EXPECT_FALSE(matches(checked(Grammar::regex("[ab]{1000}")), std::string(1001, 'a')));
}

TEST(Choice, AllowsTheTextsAndNothingElse) {
  const std::vector<std::string> texts = {"yes", "no", "none", "not", "n", "yes", "é", "ê"};
  const auto grammar = checked(Grammar::choice(texts));
  expect_texts(grammar, {"choice", texts, {"", "ye", "nothing", "yesno", "\xc3"}});
  EXPECT_FALSE(Grammar::choice({}).has_value());
  EXPECT_FALSE(Grammar::choice(std::vector<std::string>{"a", ""}).has_value());
}

TEST(Choice, IsRightForRandomSets) {
  Rng rng(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> texts, all;
    for (int n = 0; n < 63; ++n) {  // every text of one to five letters a, b
      std::string text;
      for (int bits = n + 1; bits > 1; bits /= 2) text += bits % 2 == 0 ? 'a' : 'b';
      if (text.empty()) continue;
      all.push_back(text);
      if (rng.below(4) == 0) texts.push_back(text);
    }
    if (texts.empty()) continue;
    const auto grammar = checked(Grammar::choice(texts));
    for (const std::string& text : all) {
      const bool wanted = std::find(texts.begin(), texts.end(), text) != texts.end();
      EXPECT_EQ(matches(grammar, text), wanted) << text;
    }
  }
}

TEST(Choice, TakesManyLongTexts) {
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i) texts.push_back(fmt::format("label number {}", i));
  const auto grammar = checked(Grammar::choice(texts));
  for (const std::string& text : texts) EXPECT_TRUE(matches(grammar, text));
  EXPECT_FALSE(matches(grammar, "label number 3000"));
}

TEST(Gbnf, ReadsItsNotation) {
  const std::vector<Case> cases = {
      {"root ::= \"a\" [b-d]* | \"x\\n\\\"\\\\\\x41\\u00e9\"",
       {"a", "abcd", "x\n\"\\Aé"},
       {"", "x", "ae"}},
      {"# a comment\nroot ::= item (\",\" item)* # another\n\nitem ::= [0-9]+\n",
       {"1", "12,3"},
       {"", "1,", ",1"}},
      {"root ::= (\n  \"a\" |\n  \"b\"\n) {2,3}", {"aa", "aba"}, {"a", "aaaa"}},
      {"root ::= \"a\"\n  | \"b\"\nother ::= \"c\"", {"a", "b"}, {"c"}},
      {"root ::= \"(\" root? \")\"", {"()", "(())", "((()))"}, {"(", "(()", "())"}},
      {"root ::= \"a\" root | \"a\"", {"a", "aaa"}, {""}},
      {"root ::= [^\"\\\\] . ", {"ab", "é😀"}, {"\"a", "a"}},
      {"root ::= \"\" \"a\"?", {"", "a"}, {"aa"}},
      {"root ::= \"a\"+{2}", {"aa", "aaa"}, {"a"}},
  };
  for (const Case& each : cases) expect_texts(checked(Grammar::gbnf(each.source)), each);
}

TEST(Gbnf, RefusesWhatItCannotDoAndNamesThePlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "no rule \"root\""},
      {"a ::= \"b\"", "no rule \"root\""},
      {"root ::= b", "line 1, column 10: rule \"b\" is not defined"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: rule \"root\" is defined twice"},
      {"root = \"a\"", "line 1, column 6: expected ::="},
      {"root ::= \"a", "line 1, column 12: a text is not closed"},
      {"root ::= (\"a\"", "a group is not closed"},
      {"root ::= \"a\")", "no group is open"},
      {"root ::= \"a\"{3,1}", "larger count"},
      {"root ::= [z-a]", "line 1"},
      {"root ::= root \"a\" | \"b\"", "\"root\" begins with itself"},
      {"root ::= a\na ::= b? c\nb ::= \"b\"\nc ::= a | \"c\"", "begins with itself"},
      {"root ::= \"a\" root", "no text matches"},
      {"root ::= <think>", "not supported"},
  };
  for (const auto& [source, message] : cases) {
    const auto grammar = Grammar::gbnf(source);
    ASSERT_FALSE(grammar.has_value()) << source;
    EXPECT_NE(grammar.error().message.find(message), std::string::npos)
        << source << ": " << grammar.error().message;
  }
  const std::string deep =
      "root ::= " + std::string(60'000, '(') + "\"a\"" + std::string(60'000, ')');
  const auto grammar = Grammar::gbnf(deep);
  ASSERT_FALSE(grammar.has_value());
  EXPECT_EQ(grammar.error().code, ErrorCode::kTooLarge);
}

TEST(Gbnf, FollowsChainsOfRulesHoweverLong) {
  std::string text = "root ::= r0\n";
  for (int i = 0; i < 30'000; ++i) text += fmt::format("r{} ::= r{}\n", i, i + 1);
  text += "r30000 ::= \"a\"\n";
  EXPECT_TRUE(matches(checked(Grammar::gbnf(text)), "a"));
}

TEST(Gbnf, PassesOverNestedNothing) {
  std::string text = "root ::= r60 \"a\"\nr0 ::= \"\"\n";
  for (int i = 1; i <= 60; ++i) text += fmt::format("r{0} ::= r{1} r{1}?\n", i, i - 1);
  EXPECT_TRUE(matches(checked(Grammar::gbnf(text)), "a"));
}

TEST(Gbnf, PrunesWhatCannotEnd) {
  const auto grammar =
      checked(Grammar::gbnf("root ::= \"a\" | \"b\" endless\nendless ::= \"c\" endless"));
  EXPECT_EQ(fate_of(*grammar, "b"), Fate::kRefused);
  EXPECT_EQ(fate_of(*grammar, "a"), Fate::kComplete);
}

}  // namespace
}  // namespace mixtral::testing
