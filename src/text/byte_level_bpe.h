// Byte-level byte-pair encoding as in GPT-2 (Radford et al., 2019): every byte is a character,
// words are cut by a pattern and merged each for itself.
#pragma once

#include <array>

#include "text/bpe_merger.h"
#include "text/piece_tokenizer.h"
#include "text/pre_tokenizer.h"

namespace mixtral {

/// The bytes that a byte-level spelling stands for ("Ġthe" is " the"); nullopt if a character of it
/// stands for none.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

struct ByteLevelParts {
  Vocabulary vocabulary;
  BpeMergeTable merges;
  TokenizerTraits traits;
  PreTokenizer pre_tokenizer = PreTokenizer::kGpt2;
};

class ByteLevelBpe final : public PieceTokenizer {
 public:
  explicit ByteLevelBpe(ByteLevelParts parts);

  std::vector<int32_t> encode(std::string_view text, SpecialText special) const override;
  std::string token_bytes(int32_t id) const override;

 private:
  /// Appends the ids of a text without literal pieces.
  void encode_part(std::string_view text, BpeMerger& merger, std::vector<int32_t>& ids) const;

  BpeMergeTable merges_;
  PreTokenizer pre_tokenizer_;
  std::array<int32_t, 256> byte_symbols_;  // -1: no piece
};

}  // namespace mixtral
