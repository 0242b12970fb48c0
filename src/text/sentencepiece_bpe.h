// SentencePiece's byte-pair encoding (Kudo and Richardson, arXiv:1808.06226): spaces are written ▁,
// the whole text is one sequence of characters, and characters without a piece fall back to bytes.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe_merger.h"
#include "text/piece_tokenizer.h"

namespace mixtral {

/// Merges as SentencePiece finds them: any two neighbours whose concatenation is a piece, the
/// higher score first. `scores` has one finite value per piece. Fails, naming the piece, if one is
/// not finite or is a normal piece too long to be real.
Result<BpeMergeTable> merges_from_scores(const Vocabulary& vocabulary,
                                         std::span<const float> scores, std::string_view where);

/// What SentencePieceBpe is made of.
struct SentencePieceParts {
  Vocabulary vocabulary;
  BpeMergeTable merges;
  TokenizerTraits traits;
  bool byte_fallback = true;
  std::string unk_text = " \xE2\x81\x87 ";  ///< what the unknown piece decodes to
};

class SentencePieceBpe final : public PieceTokenizer {
 public:
  explicit SentencePieceBpe(SentencePieceParts parts);

  std::vector<int32_t> encode(std::string_view text, SpecialText special) const override;
  std::string token_bytes(int32_t id) const override;

 private:
  /// Appends the ids of a text without control tokens.
  void encode_part(std::string_view text, BpeMerger& merger, std::vector<int32_t>& ids) const;
  /// `text` with ▁ for spaces, the prefix and U+FFFD for broken bytes.
  std::string normalise(std::string_view text) const;
  std::vector<int32_t> symbols_of(std::string_view normalised) const;
  void append_unknown(char32_t code_point, std::vector<int32_t>& ids) const;

  BpeMergeTable merges_;
  std::string unk_text_;
  std::array<int32_t, 256> byte_ids_;  // -1: no piece
};

}  // namespace mixtral
