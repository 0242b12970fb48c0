// What the tests of grammar/ share: small vocabularies, matching text by bytes, random answers.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "grammar/grammar_matcher.h"

namespace mixtral::testing {

/// The grammar, or a failed test and nullptr.
inline Grammar::Pointer checked(const Result<Grammar::Pointer>& grammar) {
  if (!grammar) {
    ADD_FAILURE() << grammar.error().message;
    return nullptr;
  }
  return *grammar;
}

/// Every byte (token b is byte b), token 256 the end, then `words`.
inline std::shared_ptr<const TokenVocabulary> byte_vocabulary(
    const std::vector<std::string>& words = {}) {
  std::vector<std::string> texts;
  for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
  texts.emplace_back();
  texts.insert(texts.end(), words.begin(), words.end());
  const std::vector<int32_t> ends{256};
  return std::make_shared<const TokenVocabulary>(texts, ends);
}

/// How a text fares when its bytes are read one by one.
enum class Fate { kRefused, kIncomplete, kComplete };

inline Fate fate_of(const Grammar& grammar, std::string_view text) {
  GrammarAutomaton automaton(grammar.rules(), 16);
  StateId state = automaton.start(LeadingBlank::kPartOfText);
  for (const char c : text) {
    state = automaton.next(state, static_cast<uint8_t>(c));
    if (state == kDeadState) return Fate::kRefused;
  }
  return automaton.accepts(state) ? Fate::kComplete : Fate::kIncomplete;
}

inline bool matches(const Grammar::Pointer& grammar, std::string_view text) {
  return grammar != nullptr && fate_of(*grammar, text) == Fate::kComplete;
}

struct RandomAnswer {
  std::string text;
  bool complete = false;
  std::string fault;  ///< what must never happen
};

/// An answer by logits at temperature 1.5 that know nothing. After `n_free` tokens those that
/// bring an answer to its end are preferred, since noise rarely ends anything.
inline RandomAnswer random_answer(GrammarMatcher matcher, const TokenVocabulary& vocabulary,
                                  Rng& rng, size_t n_free, size_t n_most) {
  RandomAnswer answer;
  for (size_t n = 0; n < n_most && !matcher.finished(); ++n) {
    int32_t best = -1;
    double best_score = -1e300;
    const auto mask = matcher.allowed();
    size_t n_allowed = 0;
    for (const uint64_t word : mask) n_allowed += static_cast<size_t>(std::popcount(word));
    for (size_t word = 0; word < mask.size(); ++word) {
      for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1) {
        const auto id =
            static_cast<int32_t>(64 * word + static_cast<size_t>(std::countr_zero(bits)));
        const std::string_view text = vocabulary.bytes(id);
        const bool closes = text.empty() || text == "\"";
        const bool closes_more = text == "}" || text == "]";
        // Some hundreds of candidates do, and save time.
        if (!closes && !closes_more && n_allowed > 512 && rng.below(n_allowed) > 256) continue;
        // The largest of logit / temperature + Gumbel noise is a sample of the softmax.
        double score = -std::log(-std::log(rng.uniform() + 1e-18)) + rng.uniform();
        if (closes) score += n < n_free ? 4 : 40;
        if (closes_more) score += 4;
        if (n >= n_free) score -= 2 * static_cast<double>(text.size());
        if (score <= best_score) continue;
        best_score = score;
        best = id;
      }
    }
    if (best < 0) {
      answer.fault = "no token is allowed";
      return answer;
    }
    if (!matcher.accept(best)) {
      answer.fault = "an allowed token is not accepted";
      return answer;
    }
    answer.text += vocabulary.bytes(best);
  }
  answer.complete = matcher.complete();
  return answer;
}

}  // namespace mixtral::testing
