// Masks and matchers: the tokens allowed are those whose bytes the automaton can read.
#include <chrono>

#include "grammar/grammar_support.h"
#include "support/golden.h"

namespace mixtral::testing {
namespace {

const std::vector<std::string> kWords = {
    "{\"",  "\":",  "\",",    "\"}",   "}}",     "}]",       "\"]}",        "],[",
    "tr",   "true", "false,", "null}", " {",     "  ",       "\n  ",        "12",
    "1.5",  "e-1",  "\\u",    "\\n",   "\\\"",   "abc",      "ab",          "abcabc",
    "a\"b", "\xc3", "\xa9",   "é",     "é\"",    "\xf0\x9f", "\x98\x80",    "[[",
    "]]",   "]}",   ",\"",    ": ",    "\"a\":", "\"a\":\"", "aaaaaaaaaaaa"};

// The mask by its definition.
std::vector<bool> brute_force(const Grammar& grammar, std::string_view text,
                              const TokenVocabulary& vocabulary) {
  std::vector<bool> allowed(vocabulary.size());
  for (size_t i = 0; i < allowed.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const std::string_view bytes = vocabulary.bytes(id);
    if (vocabulary.is_end(id)) {
      allowed[i] = fate_of(grammar, text) == Fate::kComplete;
    } else if (!bytes.empty()) {
      allowed[i] = fate_of(grammar, std::string(text).append(bytes)) != Fate::kRefused;
    }
  }
  return allowed;
}

std::vector<bool> mask_of(const GrammarMatcher& matcher, size_t size) {
  std::vector<bool> allowed(size);
  for (size_t i = 0; i < size; ++i) allowed[i] = matcher.is_allowed(static_cast<int32_t>(i));
  return allowed;
}

std::vector<Grammar::Pointer> some_grammars() {
  return {
      checked(Grammar::json_object()),
      checked(Grammar::json_schema(R"({"type":"object","properties":{"a":{"type":"string",
          "maxLength":20},"b":{"type":"array","items":{"type":"integer"},"maxItems":3},
          "c":{"$ref":"#"}},"required":["b"],"additionalProperties":false})")),
      checked(Grammar::json_schema(R"({"type":"string","minLength":3,"maxLength":40})")),
      checked(Grammar::regex("(abc|a){2,9}é*")),
      checked(Grammar::regex(".*abc.*")),
      checked(Grammar::gbnf("root ::= \"{\" root* \"}\" | \"[\" root* \"]\" | \"a\"")),
      checked(Grammar::choice(std::vector<std::string>{"true", "tr", "abcabcabc", "é"})),
  };
}

TEST(GrammarMatcher, AllowsWhatBruteForceAllows) {
  const auto vocabulary = byte_vocabulary(kWords);
  TokenMaskCache cache(vocabulary);
  Rng rng(5);
  for (const auto& grammar : some_grammars()) {
    for (int round = 0; round < 6; ++round) {
      auto matcher = *GrammarMatcher::create(cache, grammar, LeadingBlank::kPartOfText);
      std::string text;
      for (int n = 0; n < 25 && !matcher.finished(); ++n) {
        const auto allowed = mask_of(matcher, vocabulary->size());
        ASSERT_EQ(allowed, brute_force(*grammar, text, *vocabulary)) << text;
        std::vector<int32_t> ids;
        for (size_t i = 0; i < allowed.size(); ++i) {
          const auto id = static_cast<int32_t>(i);
          if (!allowed[i] || vocabulary->is_end(id)) continue;
          // Longer tokens more often, or there would be nothing but single bytes.
          ids.insert(ids.end(), vocabulary->bytes(id).size() > 1 ? 20 : 1, id);
        }
        if (ids.empty()) break;
        const int32_t id = ids[rng.below(ids.size())];
        ASSERT_TRUE(matcher.accept(id));
        text += vocabulary->bytes(id);
      }
    }
  }
}

TEST(GrammarMatcher, RefusesTokensThatAreNotAllowedAndStaysWhereItWas) {
  TokenMaskCache cache(byte_vocabulary());
  auto matcher =
      *GrammarMatcher::create(cache, checked(Grammar::regex("ab?")), LeadingBlank::kPartOfText);
  for (const int32_t id : {int32_t{'b'}, 256, -1, 100'000}) {
    EXPECT_FALSE(matcher.is_allowed(id));
    EXPECT_FALSE(matcher.accept(id));
  }
  EXPECT_FALSE(matcher.complete());
  EXPECT_TRUE(matcher.accept('a'));
  EXPECT_TRUE(matcher.complete());
  EXPECT_FALSE(matcher.finished());
  EXPECT_TRUE(matcher.accept('b'));
  EXPECT_TRUE(matcher.finished());
  EXPECT_TRUE(matcher.is_allowed(256));
  EXPECT_TRUE(matcher.accept(256));
  EXPECT_TRUE(matcher.finished());
  EXPECT_TRUE(matcher.allowed().empty());
  EXPECT_FALSE(matcher.accept(256));
}

TEST(GrammarMatcher, IsTakenBackByACopy) {
  TokenMaskCache cache(byte_vocabulary());
  auto matcher =
      *GrammarMatcher::create(cache, checked(Grammar::regex("a{3}")), LeadingBlank::kPartOfText);
  EXPECT_TRUE(matcher.accept('a'));
  const GrammarMatcher before = matcher;
  EXPECT_TRUE(matcher.accept('a'));
  EXPECT_TRUE(matcher.accept('a'));
  EXPECT_TRUE(matcher.finished());
  matcher = before;
  EXPECT_FALSE(matcher.complete());
  EXPECT_TRUE(matcher.accept('a'));
  EXPECT_FALSE(matcher.complete());
}

TEST(GrammarMatcher, DropsOneLeadingBlank) {
  TokenMaskCache cache(byte_vocabulary({" a", " b"}));
  const auto grammar = checked(Grammar::regex("a| b"));
  auto matcher = *GrammarMatcher::create(cache, grammar, LeadingBlank::kDropped);
  EXPECT_TRUE(matcher.is_allowed('a'));
  EXPECT_TRUE(matcher.is_allowed(257));
  EXPECT_FALSE(matcher.is_allowed(258)) << "its blank would be dropped and b is no text";
  EXPECT_TRUE(matcher.accept(' '));
  EXPECT_TRUE(matcher.is_allowed('a'));
  EXPECT_TRUE(matcher.is_allowed(258));
  auto strict = *GrammarMatcher::create(cache, grammar, LeadingBlank::kPartOfText);
  EXPECT_FALSE(strict.is_allowed(257));
  EXPECT_TRUE(strict.is_allowed(258));
}

TEST(GrammarMatcher, LeavesOutWhatTheVocabularyCannotSpell) {
  const std::vector<std::string> texts = {"a", "b", "ab", ""};
  const std::vector<int32_t> ends{3};
  TokenMaskCache cache(std::make_shared<const TokenVocabulary>(texts, ends));
  const auto some = GrammarMatcher::create(cache, checked(Grammar::regex("a(b|c)|cb")),
                                           LeadingBlank::kPartOfText);
  ASSERT_TRUE(some.has_value());
  EXPECT_TRUE(some->is_allowed(0));
  EXPECT_TRUE(some->is_allowed(2));
  const auto none =
      GrammarMatcher::create(cache, checked(Grammar::regex("a+c")), LeadingBlank::kPartOfText);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kUnsupported);
}

TEST(TokenMaskCache, StartsAnewWhenItsMemoryIsFull) {
  const auto vocabulary = byte_vocabulary(kWords);
  TokenMaskCache small(vocabulary, 8 * 4096), large(vocabulary);
  const auto grammar = checked(Grammar::json_object());
  auto a = *GrammarMatcher::create(small, grammar, LeadingBlank::kDropped);
  auto b = *GrammarMatcher::create(large, grammar, LeadingBlank::kDropped);
  const std::string text = R"( {"a": [[1.5, {"b": null}], "abc\n", [true]], "c": {"d": "é"}})";
  for (const char c : text) {
    EXPECT_EQ(mask_of(a, vocabulary->size()), mask_of(b, vocabulary->size()));
    ASSERT_TRUE(a.accept(static_cast<uint8_t>(c)));
    ASSERT_TRUE(b.accept(static_cast<uint8_t>(c)));
  }
  EXPECT_TRUE(a.finished());
  const auto masks = *small.masks_of(grammar);
  EXPECT_LT(masks->current()->size_bytes(), size_t{1} << 20);
}

TEST(TokenMaskCache, SharesMasksOfEqualGrammars) {
  TokenMaskCache cache(byte_vocabulary());
  const auto a = *cache.masks_of(checked(Grammar::regex("a*")));
  EXPECT_EQ(*cache.masks_of(checked(Grammar::regex("a*"))), a);
  EXPECT_NE(*cache.masks_of(checked(Grammar::regex("b*"))), a);
}

TEST(TokenMasks, AreFoundAgainInDeeperNestingAndLongerCounts) {
  const auto vocabulary = byte_vocabulary(kWords);
  const auto count_after = [&](const Grammar::Pointer& grammar, const std::string& text) {
    TokenMasks masks(grammar->rules(), *vocabulary);
    StateId state = masks.automaton().start(LeadingBlank::kPartOfText);
    for (const char c : text) {
      (void)masks.allowed(state);
      state = masks.automaton().next(state, static_cast<uint8_t>(c));
    }
    return masks.n_computed();
  };
  const auto json = checked(Grammar::json_object());
  std::string nested, more;
  for (int i = 0; i < 20; ++i) nested += "{\"a\":";
  for (int i = 0; i < 200; ++i) more += "{\"a\":";
  EXPECT_EQ(count_after(json, nested), count_after(json, more));
  const auto text = checked(Grammar::json_schema(R"({"type":"string","maxLength":5000})"));
  EXPECT_LT(count_after(text, "\"" + std::string(4000, 'a')), 5u);
}

TEST(TokenMasks, StayBoundedForGrammarsMadeToBeSlow) {
  std::string source = "root ::=";
  for (int i = 0; i < 3000; ++i) source += " [ab]?";
  const auto vocabulary =
      byte_vocabulary({"ab", "abab", "babababababa", "aaaaaaaaaaaaaaaaaaaaaaaa"});
  TokenMaskCache cache(vocabulary);
  auto matcher =
      *GrammarMatcher::create(cache, checked(Grammar::gbnf(source)), LeadingBlank::kPartOfText);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(matcher.is_allowed('a'));
    ASSERT_TRUE(matcher.accept(i % 3 == 0 ? 'a' : 'b'));
  }
  // A guard against minutes, not a measurement.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(TokenVocabulary, LeavesOutControlTokensAndBytesThatPiecesSpell) {
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/tokenizer.model");
  const auto tokenizer = Tokenizer::load(path);
  ASSERT_TRUE(tokenizer.has_value());
  const TokenVocabulary vocabulary(**tokenizer);
  EXPECT_EQ(vocabulary.size(), 32000u);
  EXPECT_EQ(vocabulary.max_token_bytes(), 25u);
  EXPECT_EQ(vocabulary.single_bytes(), ByteSet::all());
  for (const int32_t id : {0, 1, 2}) EXPECT_EQ(vocabulary.bytes(id), "");
  EXPECT_EQ(vocabulary.bytes(22557), " Hello");
  // Bytes are tokens where no piece spells them.
  EXPECT_EQ(vocabulary.bytes(3 + '\n'), "\n");
  EXPECT_EQ(vocabulary.bytes(3 + ' '), "");
  EXPECT_EQ(vocabulary.bytes(28705), " ");
  EXPECT_TRUE(vocabulary.is_end(2));
}

}  // namespace
}  // namespace mixtral::testing
