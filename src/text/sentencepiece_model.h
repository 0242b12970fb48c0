// SentencePiece's `tokenizer.model`, a protocol buffer of its own schema
// (github.com/google/sentencepiece, sentencepiece_model.proto).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "text/vocabulary.h"

namespace mixtral {

/// What the file says, checked to be a BPE model that changes no characters.
struct SentencePieceModel {
  std::vector<Piece> pieces;
  std::vector<float> scores;  ///< one per piece
  bool byte_fallback = false;
  bool adds_space_prefix = true;
  std::string bos_piece = "<s>", eos_piece = "</s>";
  std::string unk_text = " \xE2\x81\x87 ";
};

/// Fails with kBadInput if `bytes` are no such file or cut off, with kUnsupported, naming what, for
/// models of another kind (unigram, words, characters; a normaliser that rewrites text). `where`
/// begins the messages.
Result<SentencePieceModel> parse_sentencepiece_model(std::string_view bytes,
                                                     std::string_view where);

}  // namespace mixtral
