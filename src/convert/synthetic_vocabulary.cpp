#include "convert/synthetic_vocabulary.h"

#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace mixtral {
namespace {

// The most frequent letters of English first, so that a short vocabulary has the useful pieces.
constexpr std::string_view kLetters = "etaoinshrdlcumwfgypbvkjxqz";
constexpr size_t kMaxLetters = 4;

/// Collects pieces until there are enough.
class PieceList {
 public:
  explicit PieceList(size_t wanted) : wanted_(wanted) {}

  void add(std::string text, PieceType type) {
    if (full()) return;
    // Merges with the higher score come first; the order of the list is that order.
    const bool merged = type == PieceType::kNormal;
    scores_.push_back(merged ? -static_cast<double>(texts_.size()) : 0.0);
    texts_.push_back(std::move(text));
    types_.push_back(static_cast<int64_t>(type));
  }
  bool full() const { return texts_.size() == wanted_; }

  void move_to(GgufMetadata& metadata) && {
    metadata.set("tokenizer.ggml.tokens", std::move(texts_));
    metadata.set("tokenizer.ggml.scores", std::move(scores_));
    metadata.set("tokenizer.ggml.token_type", std::move(types_));
  }

 private:
  size_t wanted_;
  std::vector<std::string> texts_;
  std::vector<double> scores_;
  std::vector<int64_t> types_;
};

void add_special_pieces(PieceList& pieces) {
  pieces.add("<unk>", PieceType::kUnknown);
  pieces.add("<s>", PieceType::kControl);
  pieces.add("</s>", PieceType::kControl);
  for (unsigned byte = 0; byte < 256; ++byte)
    pieces.add(fmt::format("<0x{:02X}>", byte), PieceType::kByte);
  pieces.add(std::string(kSpaceMark), PieceType::kNormal);
  for (char c = '!'; c <= '~'; ++c) pieces.add(std::string(1, c), PieceType::kNormal);
}

/// Strings of two letters and more, words' beginnings (after a space mark) before the rest.
void add_letter_pieces(PieceList& pieces) {
  std::vector<std::string> shorter = {std::string(kSpaceMark)};
  for (const char letter : kLetters) shorter.emplace_back(1, letter);
  for (size_t n_letters = 2; n_letters <= kMaxLetters && !pieces.full(); ++n_letters) {
    std::vector<std::string> longer;
    for (const std::string& text : shorter)
      for (const char letter : kLetters) longer.push_back(text + letter);
    for (const std::string& text : longer) pieces.add(text, PieceType::kNormal);
    shorter = std::move(longer);
  }
}

}  // namespace

Status add_synthetic_vocabulary(size_t n_pieces, GgufMetadata& metadata) {
  if (n_pieces < kMinSyntheticPieces || n_pieces > kMaxSyntheticPieces)
    return fail(ErrorCode::kBadInput, "a vocabulary of {} pieces asked for, expected {} to {}",
                n_pieces, kMinSyntheticPieces, kMaxSyntheticPieces);
  PieceList pieces(n_pieces);
  add_special_pieces(pieces);
  add_letter_pieces(pieces);
  metadata.set("tokenizer.ggml.model", std::string("llama"));
  std::move(pieces).move_to(metadata);
  metadata.set("tokenizer.ggml.unknown_token_id", uint64_t{0});
  metadata.set("tokenizer.ggml.bos_token_id", uint64_t{1});
  metadata.set("tokenizer.ggml.eos_token_id", uint64_t{2});
  metadata.set("tokenizer.ggml.add_bos_token", true);
  metadata.set("tokenizer.ggml.add_space_prefix", true);
  return {};
}

}  // namespace mixtral
