// How far one answer has come in its grammar.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/result.h"
#include "grammar/token_mask_cache.h"

namespace mixtral {

/// Copies are cheap and independent: a copy made before a draft takes the draft back. Used by the
/// thread of its TokenMaskCache, which need not outlive it.
class GrammarMatcher {
 public:
  /// Fails as TokenMaskCache::masks_of() does.
  static Result<GrammarMatcher> create(TokenMaskCache& cache, const Grammar::Pointer& grammar,
                                       LeadingBlank blank);

  /// A bit for each token of the vocabulary (TokenVocabulary::n_mask_words() words): those that may
  /// come next, end tokens exactly where the text may end. Only finished() leaves none. Valid until
  /// this matcher changes.
  std::span<const uint64_t> allowed() const;
  bool is_allowed(int32_t id) const;
  /// Takes the next token. False, without a change, if it is not allowed.
  bool accept(int32_t id);
  /// The text so far is one of the grammar.
  bool complete() const;
  /// An end token has come, or the text is complete and nothing may follow it but its end.
  bool finished() const;

 private:
  GrammarMatcher() = default;

  std::shared_ptr<GrammarMasks> grammar_;
  std::shared_ptr<TokenMasks> masks_;
  StateId state_ = kDeadState;
  bool ended_ = false;
};

}  // namespace mixtral
