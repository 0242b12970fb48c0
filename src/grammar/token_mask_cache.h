// The masks of all grammars in use, in bounded memory.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "core/result.h"
#include "grammar/grammar.h"
#include "grammar/token_masks.h"

namespace mixtral {

/// The masks of one grammar with one vocabulary. When they outgrow their limit, new ones are begun;
/// a GrammarMatcher keeps the old ones until its next token. Not thread-safe.
class GrammarMasks {
 public:
  /// Fails with kUnsupported if the vocabulary cannot spell any text of the grammar.
  static Result<std::shared_ptr<GrammarMasks>> create(
      Grammar::Pointer grammar, std::shared_ptr<const TokenVocabulary> vocabulary,
      size_t limit_bytes);

  const Grammar& grammar() const { return *grammar_; }
  const TokenVocabulary& vocabulary() const { return *vocabulary_; }
  /// The masks to use from now on.
  const std::shared_ptr<TokenMasks>& current();

 private:
  GrammarMasks() = default;

  Grammar::Pointer grammar_;
  std::shared_ptr<const TokenVocabulary> vocabulary_;
  // The grammar without what the vocabulary cannot spell; nothing if it can spell all.
  std::unique_ptr<const GrammarRules> spellable_;
  size_t limit_bytes_ = 0;
  std::shared_ptr<TokenMasks> current_;
};

/// One for an Engine; used by the engine's thread only. Requests with the same grammar share masks.
class TokenMaskCache {
 public:
  /// Grammars whose masks are kept while nobody uses them.
  static constexpr size_t kMaxGrammars = 8;

  /// Each grammar may take `limit_bytes` / kMaxGrammars, and until the next token twice that.
  explicit TokenMaskCache(std::shared_ptr<const TokenVocabulary> vocabulary,
                          size_t limit_bytes = size_t{256} << 20);

  /// Fails with kUnsupported if the vocabulary cannot spell any text of the grammar.
  Result<std::shared_ptr<GrammarMasks>> masks_of(const Grammar::Pointer& grammar);

 private:
  std::shared_ptr<const TokenVocabulary> vocabulary_;
  size_t limit_bytes_;
  std::list<std::shared_ptr<GrammarMasks>> recent_;  // the last used first
};

}  // namespace mixtral
