#include "text/sentencepiece_bpe.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "text/utf8.h"

namespace mixtral {
namespace {

// The longest piece of Mixtral has 48 bytes. The limit keeps the search for a piece's splits,
// quadratic in its length, harmless.
constexpr size_t kMaxMergedPieceBytes = 256;

// A character that is no piece takes part in merging as symbol kOutside + code point.
constexpr int32_t kOutside = 1 << 24;

bool merges_from_characters(PieceType type) {
  return type == PieceType::kNormal || type == PieceType::kUnused;
}

/// The symbol of `text`: its piece, or kOutside + code point for a single character that has none.
/// nullopt for longer texts that are no pieces.
std::optional<int32_t> symbol_of(const Vocabulary& vocabulary, std::string_view text) {
  if (const auto id = vocabulary.find(text)) {
    if (merges_from_characters(vocabulary[*id].type)) return id;
  }
  const Utf8Character character = first_utf8_character(text);
  if (character.kind != Utf8Character::Kind::kValid || character.size != text.size())
    return std::nullopt;
  return kOutside + static_cast<int32_t>(character.code_point);
}

/// Equal scores give equal ranks, the highest score rank 0.
std::vector<uint32_t> ranks_of(std::span<const float> scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  std::vector<uint32_t> ranks(scores.size());
  for (size_t i = 1; i < order.size(); ++i) {
    const uint32_t previous = ranks[order[i - 1]];
    ranks[order[i]] = scores[order[i]] == scores[order[i - 1]] ? previous : previous + 1;
  }
  return ranks;
}

/// Appends every way to put the piece together from two symbols.
void append_splits(const Vocabulary& vocabulary, int32_t id, uint32_t rank,
                   std::vector<BpeMerge>& merges) {
  const std::string_view text = vocabulary[id].text;
  const bool passing = vocabulary[id].type == PieceType::kUnused;
  size_t at = 0;
  while (true) {
    const Utf8Character character = first_utf8_character(text.substr(at));
    if (character.kind != Utf8Character::Kind::kValid) return;  // no text has such bytes
    at += character.size;
    if (at >= text.size()) return;
    const auto left = symbol_of(vocabulary, text.substr(0, at));
    if (!left) continue;
    const auto right = symbol_of(vocabulary, text.substr(at));
    if (right) merges.push_back({*left, *right, rank, id, passing});
  }
}

}  // namespace

Result<BpeMergeTable> merges_from_scores(const Vocabulary& vocabulary,
                                         std::span<const float> scores, std::string_view where) {
  if (scores.size() != vocabulary.size()) {
    return fail(ErrorCode::kBadInput, "{}: {} scores for {} pieces", where, scores.size(),
                vocabulary.size());
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(scores[i]))
      return fail(ErrorCode::kBadInput, "{}: the score of piece {} is not finite", where, i);
  }
  const std::vector<uint32_t> ranks = ranks_of(scores);
  std::vector<BpeMerge> merges;
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (!merges_from_characters(vocabulary[id].type) || vocabulary[id].text.empty()) continue;
    if (vocabulary[id].text.size() > kMaxMergedPieceBytes) {
      return fail(ErrorCode::kTooLarge, "{}: piece {} has {} bytes, expected at most {}", where, i,
                  vocabulary[id].text.size(), kMaxMergedPieceBytes);
    }
    append_splits(vocabulary, id, ranks[i], merges);
  }
  return BpeMergeTable(std::move(merges));
}

SentencePieceBpe::SentencePieceBpe(SentencePieceParts parts)
    : PieceTokenizer(std::move(parts.vocabulary), std::move(parts.traits)),
      merges_(std::move(parts.merges)),
      unk_text_(std::move(parts.unk_text)) {
  byte_ids_.fill(-1);
  for (size_t i = 0; parts.byte_fallback && i < vocabulary().size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (vocabulary()[id].type != PieceType::kByte) continue;
    if (const auto byte = byte_of_piece(vocabulary()[id].text)) byte_ids_[*byte] = id;
  }
}

std::vector<int32_t> SentencePieceBpe::encode(std::string_view text, SpecialText special) const {
  std::vector<int32_t> ids;
  BpeMerger merger(merges_);
  const LiteralSet none;
  const LiteralSet& literals = special == SpecialText::kParse ? vocabulary().special() : none;
  literals.split(
      text, [&](std::string_view part) { encode_part(part, merger, ids); },
      [&](int32_t id) { ids.push_back(id); });
  return ids;
}

std::string SentencePieceBpe::normalise(std::string_view text) const {
  std::string out;
  out.reserve(text.size() + text.size() / 4 + kSpaceMark.size());
  if (adds_space_prefix()) out += kSpaceMark;
  while (!text.empty()) {
    const Utf8Character character = first_utf8_character(text);
    if (character.code_point == U' ') {
      out += kSpaceMark;
    } else if (character.kind == Utf8Character::Kind::kValid) {
      out += text.substr(0, character.size);
    } else {
      for (size_t i = 0; i < character.size; ++i) out += kReplacementUtf8;
    }
    text.remove_prefix(character.size);
  }
  return out;
}

std::vector<int32_t> SentencePieceBpe::symbols_of(std::string_view normalised) const {
  std::vector<int32_t> symbols;
  symbols.reserve(normalised.size());
  while (!normalised.empty()) {
    size_t size = first_utf8_character(normalised).size;
    if (const auto literal = vocabulary().user_defined().longest_at_start(normalised)) {
      symbols.push_back(literal->id);  // no merge contains it
      size = literal->size;
    } else if (const auto symbol = symbol_of(vocabulary(), normalised.substr(0, size))) {
      symbols.push_back(*symbol);
    }
    normalised.remove_prefix(std::min(size, normalised.size()));
  }
  return symbols;
}

void SentencePieceBpe::encode_part(std::string_view text, BpeMerger& merger,
                                   std::vector<int32_t>& ids) const {
  std::vector<int32_t> symbols = symbols_of(normalise(text));
  merger.apply(symbols);
  for (const int32_t symbol : symbols) {
    if (symbol < kOutside) {
      ids.push_back(symbol);
    } else {
      append_unknown(static_cast<char32_t>(symbol - kOutside), ids);
    }
  }
}

void SentencePieceBpe::append_unknown(char32_t code_point, std::vector<int32_t>& ids) const {
  std::string bytes;
  append_utf8(code_point, bytes);
  const auto id_of = [&](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
  if (std::all_of(bytes.begin(), bytes.end(), [&](char byte) { return id_of(byte) >= 0; })) {
    for (const char byte : bytes) ids.push_back(id_of(byte));
  } else if (unk_id() && (ids.empty() || ids.back() != *unk_id())) {
    ids.push_back(*unk_id());  // one for a run of unknown characters
  }
}

std::string SentencePieceBpe::token_bytes(int32_t id) const {
  if (!vocabulary().contains(id) || is_control(id)) return {};
  const Piece& piece = vocabulary()[id];
  if (piece.type == PieceType::kUnknown) return unk_text_;
  if (piece.type == PieceType::kByte) {
    const auto byte = byte_of_piece(piece.text);
    return byte ? std::string(1, static_cast<char>(*byte)) : std::string();
  }
  std::string bytes;
  std::string_view rest = piece.text;
  while (!rest.empty()) {
    const bool space = rest.starts_with(kSpaceMark);
    bytes.push_back(space ? ' ' : rest.front());
    rest.remove_prefix(space ? kSpaceMark.size() : 1);
  }
  return bytes;
}

}  // namespace mixtral
