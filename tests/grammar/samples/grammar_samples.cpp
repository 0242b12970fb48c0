// Reads grammars, one JSON object a line: {"kind": "json_schema", "source": "…", "n": 4}; writes
// for each a line {"samples": ["…"], "incomplete": 0} or {"error": "…"}. For validate_samples.py.
//
//   grammar_samples TOKENIZER < grammars > samples
#include <iostream>
#include <nlohmann/json.hpp>

#include "grammar/grammar_support.h"

namespace mixtral::testing {
namespace {

Result<Grammar::Pointer> compile(const std::string& kind, const std::string& source) {
  if (kind == "json_object") return Grammar::json_object();
  if (kind == "json_schema") return Grammar::json_schema(source);
  if (kind == "regex") return Grammar::regex(source);
  return Grammar::gbnf(source);
}

nlohmann::json answer(const nlohmann::json& request, TokenMaskCache& cache,
                      const TokenVocabulary& vocabulary, Rng& rng) {
  const auto grammar = compile(request["kind"], request["source"]);
  if (!grammar) return {{"error", grammar.error().message}};
  const auto matcher = GrammarMatcher::create(cache, *grammar, LeadingBlank::kPartOfText);
  if (!matcher) return {{"error", matcher.error().message}};
  nlohmann::json reply{{"samples", nlohmann::json::array()}, {"incomplete", 0}};
  for (int i = 0; i < request["n"]; ++i) {
    const size_t n_free = i % 2 == 0 ? 12 : 60;
    const RandomAnswer sample = random_answer(*matcher, vocabulary, rng, n_free, 1500);
    if (!sample.fault.empty()) return {{"error", "FAULT: " + sample.fault}};
    if (sample.complete) {
      reply["samples"].push_back(sample.text);
    } else {
      reply["incomplete"] = reply["incomplete"].get<int>() + 1;
    }
  }
  return reply;
}

int run(const char* tokenizer_path) {
  const auto tokenizer = Tokenizer::load(tokenizer_path);
  if (!tokenizer || *tokenizer == nullptr) {
    std::cerr << "no tokenizer\n";
    return 1;
  }
  const auto vocabulary = std::make_shared<const TokenVocabulary>(**tokenizer);
  TokenMaskCache cache(vocabulary);
  Rng rng(1);
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(nlohmann::json::parse(line), cache, *vocabulary, rng).dump() << '\n';
  }
  return 0;
}

}  // namespace
}  // namespace mixtral::testing

int main(int argc, char** argv) { return argc == 2 ? mixtral::testing::run(argv[1]) : 2; }
