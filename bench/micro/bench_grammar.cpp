// What constrained decoding costs for each token, with Mixtral's vocabulary of 32,000 tokens.
//
//   bench_grammar TOKENIZER
//
// For each grammar: time to compile it; then answers token by token, the mask (allowed) and the
// step (accept) together, mean and worst: one with nothing cached, another one behind it, and the
// first again.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "grammar/grammar_matcher.h"
#include "text/tokenizer.h"

namespace mixtral::bench {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

struct Subject {
  std::string name;
  Result<Grammar::Pointer> (*compile)();
  std::string (*answer)(int variant);
};

constexpr const char* kSchema = R"({
  "$defs": {"Step": {"type": "object", "properties": {"explanation": {"type": "string"},
      "output": {"type": "string", "maxLength": 200}, "confidence": {"type": "number", "minimum": 0,
      "maximum": 1}}, "required": ["explanation", "output", "confidence"],
      "additionalProperties": false}},
  "type": "object", "properties": {"steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}},
      "final_answer": {"type": "string"}, "kind": {"enum": ["algebra", "geometry", "other"]}},
  "required": ["steps", "final_answer", "kind"], "additionalProperties": false})";

std::string steps_answer(int variant) {
  std::string text = "{\"steps\": [";
  for (int i = 0; i < 12; ++i) {
    text += fmt::format(
        "{}{{\"explanation\": \"Subtract seven from both sides of equation {}, which leaves a "
        "simpler one.\", \"output\": \"8x = -{}\", \"confidence\": 0.9{}}}",
        i == 0 ? "" : ", ", i + variant, 30 + i * variant, i % 10);
  }
  return text + "], \"final_answer\": \"x = -3.75\", \"kind\": \"algebra\"}";
}

std::string free_answer(int variant) {
  std::string text = "{\n  \"people\": [";
  for (int i = 0; i < 20; ++i) {
    text += fmt::format(
        "{}\n    {{\n      \"name\": \"Person {}\",\n      \"tags\": [\"first\", \"second\"],\n    "
        "  "
        "\"address\": {{\"street\": \"Long Road {}\", \"zip\": {}, \"geo\": [1.5, -2e3]}},\n      "
        "\"active\": {}\n    }}",
        i == 0 ? "" : ",", i, i + variant, 1000 + i * variant, i % 2 == 0);
  }
  return text + "\n  ]\n}";
}

struct Times {
  double mean, worst;
};

// One answer; microseconds a token.
Times run(TokenMaskCache& cache, const Grammar::Pointer& grammar, const std::vector<int32_t>& ids) {
  auto matcher = GrammarMatcher::create(cache, grammar, LeadingBlank::kDropped);
  double sum = 0, worst = 0;
  for (const int32_t id : ids) {
    const auto begin = Clock::now();
    const bool good = matcher->is_allowed(id) && matcher->accept(id);
    const double time = microseconds_since(begin);
    if (!good) {
      fmt::print("token {} is not allowed\n", id);
      break;
    }
    sum += time;
    worst = std::max(worst, time);
  }
  return {sum / static_cast<double>(ids.size()), worst};
}

int run_all(const std::string& tokenizer_path) {
  const auto tokenizer = Tokenizer::load(tokenizer_path);
  if (!tokenizer || *tokenizer == nullptr) return 1;
  const auto begin = Clock::now();
  const auto vocabulary = std::make_shared<const TokenVocabulary>(**tokenizer);
  fmt::print("vocabulary of {} tokens: {:.1f} ms\n", vocabulary->size(),
             microseconds_since(begin) / 1000);
  const std::vector<Subject> subjects = {
      {"json_object", [] { return Grammar::json_object(); }, free_answer},
      {"json_schema", [] { return Grammar::json_schema(kSchema); }, steps_answer},
      {"regex", [] { return Grammar::regex("([A-Z][a-z ]{2,40}[.!?] ?){1,50}"); },
       [](int variant) -> std::string {
         return variant == 1 ? "The model writes. And it stops after a while! Does it? It does."
                             : "Another text begins here. It says nothing. Nothing at all.";
       }},
      {"maxLength", [] { return Grammar::json_schema(R"({"type":"string","maxLength":4000})"); },
       [](int variant) {
         return fmt::format("\"{} and some more words\"", std::string(300 * variant, 'a'));
       }}};
  for (const Subject& subject : subjects) {
    const auto compile_begin = Clock::now();
    const auto grammar = subject.compile();
    const double compile_time = microseconds_since(compile_begin);
    if (!grammar) return 1;
    TokenMaskCache cache(vocabulary);
    const auto ids = (*tokenizer)->encode(subject.answer(1));
    const Times first = run(cache, *grammar, ids);
    const Times other = run(cache, *grammar, (*tokenizer)->encode(subject.answer(2)));
    Times again = run(cache, *grammar, ids);
    for (int i = 0; i < 20; ++i) {
      const Times time = run(cache, *grammar, ids);
      again = {std::min(again.mean, time.mean), std::min(again.worst, time.worst)};
    }
    const auto masks = (*cache.masks_of(*grammar))->current();
    fmt::print(
        "{:12} compile {:6.1f} us; {:4} tokens; us a token, mean and worst: first {:5.1f} {:6.1f}, "
        "other {:5.2f} {:6.1f}, again {:5.2f} {:5.2f}; {} masks, {:.1f} MiB\n",
        subject.name, compile_time, ids.size(), first.mean, first.worst, other.mean, other.worst,
        again.mean, again.worst, masks->n_computed(),
        static_cast<double>(masks->size_bytes()) / (1 << 20));
  }
  return 0;
}

}  // namespace
}  // namespace mixtral::bench

int main(int argc, char** argv) {
  if (argc == 2) return mixtral::bench::run_all(argv[1]);
  fmt::print(stderr, "bench_grammar TOKENIZER\n");
  return 2;
}
