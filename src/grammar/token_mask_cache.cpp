#include "grammar/token_mask_cache.h"

#include <algorithm>

namespace mixtral {

Result<std::shared_ptr<GrammarMasks>> GrammarMasks::create(
    Grammar::Pointer grammar, std::shared_ptr<const TokenVocabulary> vocabulary,
    size_t limit_bytes) {
  std::shared_ptr<GrammarMasks> masks(new GrammarMasks);
  const ByteSet used = grammar->rules().used_bytes();
  if ((used & vocabulary->single_bytes()) != used) {
    auto rules = std::make_unique<GrammarRules>(grammar->rules());
    const Status finished = rules->finish(rules->root(), vocabulary->single_bytes());
    if (!finished) {
      return fail(ErrorCode::kUnsupported,
                  "the model's vocabulary has not the bytes to write anything that the grammar "
                  "allows: {}",
                  finished.error().message);
    }
    masks->spellable_ = std::move(rules);
  }
  masks->grammar_ = std::move(grammar);
  masks->vocabulary_ = std::move(vocabulary);
  masks->limit_bytes_ = limit_bytes;
  return masks;
}

const std::shared_ptr<TokenMasks>& GrammarMasks::current() {
  if (current_ == nullptr || current_->size_bytes() > limit_bytes_) {
    const GrammarRules& rules = spellable_ ? *spellable_ : grammar_->rules();
    current_ = std::make_shared<TokenMasks>(rules, *vocabulary_);
  }
  return current_;
}

TokenMaskCache::TokenMaskCache(std::shared_ptr<const TokenVocabulary> vocabulary,
                               size_t limit_bytes)
    : vocabulary_(std::move(vocabulary)), limit_bytes_(limit_bytes) {}

Result<std::shared_ptr<GrammarMasks>> TokenMaskCache::masks_of(const Grammar::Pointer& grammar) {
  const auto known = std::find_if(recent_.begin(), recent_.end(), [&](const auto& masks) {
    return masks->grammar().key() == grammar->key();
  });
  if (known != recent_.end()) {
    recent_.splice(recent_.begin(), recent_, known);
    return recent_.front();
  }
  MIXTRAL_TRY(auto masks, GrammarMasks::create(grammar, vocabulary_, limit_bytes_ / kMaxGrammars));
  recent_.push_front(masks);
  if (recent_.size() > kMaxGrammars) recent_.pop_back();
  return masks;
}

}  // namespace mixtral
