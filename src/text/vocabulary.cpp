#include "text/vocabulary.h"

#include <algorithm>
#include <charconv>

#include "io/quoted.h"

namespace mixtral {

Result<PieceType> piece_type_from_number(int64_t number) {
  if (number < 1 || number > 6)
    return fail(ErrorCode::kBadInput, "piece type {}, expected 1 to 6", number);
  return static_cast<PieceType>(number);
}

PieceType guarded_type(std::string_view text, PieceType type) {
  const bool marker = text.size() > 4 && text.starts_with("<|") && text.ends_with("|>");
  return marker && type == PieceType::kUserDefined ? PieceType::kControl : type;
}

LiteralSet::LiteralSet(std::vector<Literal> literals) : sorted_(std::move(literals)) {
  std::sort(sorted_.begin(), sorted_.end(),
            [](const Literal& a, const Literal& b) { return a.text < b.text; });
  for (const Literal& literal : sorted_)
    may_begin_[static_cast<unsigned char>(literal.text.front())] = true;
}

std::optional<LiteralSet::Match> LiteralSet::longest_at_start(std::string_view text) const {
  if (text.empty() || !may_begin_[static_cast<unsigned char>(text.front())]) return std::nullopt;
  // Narrows to the literals that share one more byte with the text each time. A literal that ends
  // here stands first among them.
  std::optional<Match> longest;
  auto begin = sorted_.begin();
  auto end = sorted_.end();
  for (size_t i = 0; i < text.size() && begin != end; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto at_i = [i](const Literal& literal) {
      return i < literal.text.size() ? static_cast<int>(static_cast<unsigned char>(literal.text[i]))
                                     : -1;
    };
    begin = std::partition_point(begin, end, [&](const Literal& l) { return at_i(l) < byte; });
    end = std::partition_point(begin, end, [&](const Literal& l) { return at_i(l) == byte; });
    if (begin != end && begin->text.size() == i + 1) longest = Match{begin->id, i + 1};
  }
  return longest;
}

void LiteralSet::split(std::string_view text, FunctionRef<void(std::string_view)> on_text,
                       FunctionRef<void(int32_t)> on_literal) const {
  size_t begin = 0;
  size_t at = sorted_.empty() ? text.size() : 0;
  while (at < text.size()) {
    const auto match = longest_at_start(text.substr(at));
    if (!match) {
      ++at;
      continue;
    }
    if (begin < at) on_text(text.substr(begin, at - begin));
    on_literal(match->id);
    begin = at += match->size;
  }
  if (begin < text.size()) on_text(text.substr(begin));
}

Result<Vocabulary> Vocabulary::create(std::vector<Piece> pieces, std::string_view where) {
  if (pieces.empty()) return fail(ErrorCode::kBadInput, "{}: the vocabulary is empty", where);
  if (pieces.size() > kMaxPieces) {
    return fail(ErrorCode::kTooLarge, "{}: {} pieces, expected at most {}", where, pieces.size(),
                kMaxPieces);
  }
  Vocabulary vocabulary(std::move(pieces));
  std::vector<LiteralSet::Literal> user_defined, special;
  vocabulary.by_text_.reserve(vocabulary.size());
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const Piece& piece = vocabulary.pieces_[i];
    if (piece.text.empty()) {
      if (piece.type == PieceType::kUnused) continue;
      return fail(ErrorCode::kBadInput, "{}: piece {} is empty", where, id);
    }
    const auto [first, inserted] = vocabulary.by_text_.emplace(piece.text, id);
    if (!inserted) {
      return fail(ErrorCode::kBadInput, "{}: pieces {} and {} are both {}", where, first->second,
                  id, in_quotes(piece.text));
    }
    if (piece.type == PieceType::kUserDefined) user_defined.push_back({piece.text, id});
    if (piece.type == PieceType::kControl || piece.type == PieceType::kUnknown)
      special.push_back({piece.text, id});
  }
  vocabulary.user_defined_ = LiteralSet(std::move(user_defined));
  vocabulary.special_ = LiteralSet(std::move(special));
  return vocabulary;
}

std::optional<int32_t> Vocabulary::find(std::string_view text) const {
  const auto found = by_text_.find(text);
  if (found == by_text_.end()) return std::nullopt;
  return found->second;
}

std::optional<uint8_t> byte_of_piece(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
  uint8_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, value, 16);
  if (error != std::errc() || end != text.data() + 5) return std::nullopt;
  return value;
}

}  // namespace mixtral
