// Which tokens a grammar allows in each state of its automaton, computed once for states that look
// alike.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "grammar/grammar_automaton.h"
#include "grammar/token_vocabulary.h"

namespace mixtral {

/// An automaton and its masks; both only grow. Not thread-safe.
class TokenMasks {
 public:
  /// Both are borrowed.
  TokenMasks(const GrammarRules& rules, const TokenVocabulary& vocabulary);

  GrammarAutomaton& automaton() { return automaton_; }
  const GrammarAutomaton& automaton() const { return automaton_; }
  /// The tokens with which the text may go on, and the end tokens where it may end. Never without a
  /// token except where the text must end and there is no end token. Valid as long as this object.
  std::span<const uint64_t> allowed(StateId state);
  /// The state after one more token; kDeadState if it is not allowed or stands for no text.
  StateId after(StateId state, int32_t token);

  size_t size_bytes() const { return automaton_.size_bytes() + size_bytes_; }
  /// Masks that were computed rather than found.
  size_t n_computed() const { return masks_.size(); }

 private:
  struct KeyHash {
    size_t operator()(const std::vector<uint32_t>& key) const;
  };
  uint32_t find_or_compute(StateId state);
  // Fills `mask` and returns how many levels of the state's stacks were looked at.
  uint32_t compute(StateId state, std::span<uint64_t> mask);
  void set_tokens(const TokenVocabulary::Node& node, std::span<uint64_t> mask) const;

  const TokenVocabulary& vocabulary_;
  GrammarAutomaton automaton_;
  std::vector<std::unique_ptr<uint64_t[]>> masks_;
  std::vector<uint32_t> mask_of_state_;  // by state
  std::unordered_map<std::vector<uint32_t>, uint32_t, KeyHash> mask_by_key_;
  std::vector<uint32_t> depths_;  // that keys have had, sorted
  std::vector<StateId> path_;     // scratch: states from the root of the tree on
  size_t size_bytes_ = 0;
};

}  // namespace mixtral
