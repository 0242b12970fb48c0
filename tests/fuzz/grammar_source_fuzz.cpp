// A letter for the kind, then the source of a grammar: refused, or answers by it never get stuck.
// J: JSON Schema, R: regular expression, G: GBNF, C: choices, one a line.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "grammar/grammar_matcher.h"

namespace {

mixtral::Result<mixtral::Grammar::Pointer> compile(char kind, std::string_view source) {
  if (kind == 'J') return mixtral::Grammar::json_schema(source);
  if (kind == 'R') return mixtral::Grammar::regex(source);
  if (kind == 'G') return mixtral::Grammar::gbnf(source);
  std::vector<std::string> texts;
  for (size_t begin = 0; begin <= source.size();) {
    const size_t end = std::min(source.find('\n', begin), source.size());
    texts.emplace_back(source.substr(begin, end - begin));
    begin = end + 1;
  }
  return mixtral::Grammar::choice(texts);
}

// Bytes 0 to 255, the end, and some longer tokens.
std::shared_ptr<const mixtral::TokenVocabulary> vocabulary() {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  for (const char* word : {"", "{\"", "\":", "\"}", "ab", "aaaaaaaa", "}]", "12", " true", "\n  ",
                           "\xC3\xA9", "\xF0\x9F"}) {
    texts.emplace_back(word);
  }
  const std::vector<int32_t> ends{256};
  return std::make_shared<const mixtral::TokenVocabulary>(texts, ends);
}

void answer(mixtral::GrammarMatcher matcher, mixtral::Rng& rng) {
  for (int n = 0; n < 24 && !matcher.finished(); ++n) {
    std::vector<int32_t> ids;
    const auto mask = matcher.allowed();
    for (size_t id = 0; id < 64 * mask.size(); ++id) {
      if (mask[id / 64] >> (id % 64) & 1) ids.push_back(static_cast<int32_t>(id));
    }
    if (ids.empty()) __builtin_trap();
    if (!matcher.accept(ids[rng.below(ids.size())])) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto kVocabulary = vocabulary();
  if (size == 0) return 0;
  const std::string_view source(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto grammar = compile(static_cast<char>(data[0]), source);
  if (!grammar) return 0;
  mixtral::TokenMaskCache cache(kVocabulary, size_t{8} << 20);
  const auto matcher =
      mixtral::GrammarMatcher::create(cache, *grammar, mixtral::LeadingBlank::kDropped);
  if (!matcher) __builtin_trap();  // every byte is a token
  mixtral::Rng rng(size);
  for (int round = 0; round < 3; ++round) answer(*matcher, rng);
  return 0;
}
