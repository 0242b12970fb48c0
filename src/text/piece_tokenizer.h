// What every tokenizer with a Vocabulary has in common; the families add encode() and
// token_bytes().
#pragma once

#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace mixtral {

class PieceTokenizer : public Tokenizer {
 public:
  size_t vocab_size() const final { return vocabulary_.size(); }
  std::string decode(std::span<const int32_t> ids) const final;
  std::string_view piece(int32_t id) const final;
  std::optional<int32_t> find_piece(std::string_view piece) const final;
  bool is_control(int32_t id) const final;

 protected:
  PieceTokenizer(Vocabulary vocabulary, TokenizerTraits traits)
      : Tokenizer(std::move(traits)), vocabulary_(std::move(vocabulary)) {}
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
};

}  // namespace mixtral
