#include "text/piece_tokenizer.h"

#include "text/detokenizer.h"

namespace mixtral {

std::string PieceTokenizer::decode(std::span<const int32_t> ids) const {
  Detokenizer detokenizer(*this, adds_space_prefix());
  std::string text;
  for (const int32_t id : ids) text += detokenizer.push(id);
  text += detokenizer.finish();
  return text;
}

std::string_view PieceTokenizer::piece(int32_t id) const {
  return vocabulary_.contains(id) ? std::string_view(vocabulary_[id].text) : std::string_view();
}

std::optional<int32_t> PieceTokenizer::find_piece(std::string_view piece) const {
  return vocabulary_.find(piece);
}

bool PieceTokenizer::is_control(int32_t id) const {
  return vocabulary_.contains(id) && vocabulary_[id].type == PieceType::kControl;
}

}  // namespace mixtral
