#include "grammar/grammar_matcher.h"

namespace mixtral {

Result<GrammarMatcher> GrammarMatcher::create(TokenMaskCache& cache,
                                              const Grammar::Pointer& grammar, LeadingBlank blank) {
  GrammarMatcher matcher;
  MIXTRAL_TRY(matcher.grammar_, cache.masks_of(grammar));
  matcher.masks_ = matcher.grammar_->current();
  matcher.state_ = matcher.masks_->automaton().start(blank);
  return matcher;
}

std::span<const uint64_t> GrammarMatcher::allowed() const {
  // After the end nothing is allowed: a mask of no words.
  return ended_ ? std::span<const uint64_t>() : masks_->allowed(state_);
}

bool GrammarMatcher::is_allowed(int32_t id) const {
  const auto mask = allowed();
  const auto word = static_cast<size_t>(id) / 64;
  return id >= 0 && word < mask.size() && (mask[word] >> (id % 64) & 1) != 0;
}

bool GrammarMatcher::accept(int32_t id) {
  if (ended_) return false;
  if (grammar_->vocabulary().is_end(id)) {
    ended_ = complete();
    return ended_;
  }
  const StateId next = masks_->after(state_, id);
  if (next == kDeadState) return false;
  state_ = next;
  const auto& current = grammar_->current();
  if (current != masks_) {
    state_ = current->automaton().import(masks_->automaton(), state_);
    masks_ = current;
  }
  return true;
}

bool GrammarMatcher::complete() const { return masks_->automaton().accepts(state_); }

bool GrammarMatcher::finished() const {
  return ended_ || (complete() && !masks_->automaton().continues(state_));
}

}  // namespace mixtral
