#include "text/byte_level_bpe.h"

#include "text/utf8.h"

namespace mixtral {
namespace {

/// GPT-2 spells bytes by visible characters: printable Latin-1 by itself, the others by U+0100 on.
constexpr bool spelled_by_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr char32_t kFirstStandIn = 0x100;
constexpr char32_t kSpellingEnd = 0x144;  // 68 bytes have a stand-in

constexpr std::array<int16_t, kSpellingEnd> make_byte_of_character() {
  std::array<int16_t, kSpellingEnd> table{};
  for (int16_t& byte : table) byte = -1;
  char32_t stand_in = kFirstStandIn;
  for (unsigned byte = 0; byte < 256; ++byte)
    table[spelled_by_itself(byte) ? byte : stand_in++] = static_cast<int16_t>(byte);
  return table;
}
constexpr auto kByteOfCharacter = make_byte_of_character();
static_assert(kByteOfCharacter.back() == 0xAD);

}  // namespace

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  while (!spelling.empty()) {
    const Utf8Character character = first_utf8_character(spelling);
    if (character.code_point >= kSpellingEnd || kByteOfCharacter[character.code_point] < 0)
      return std::nullopt;
    bytes.push_back(static_cast<char>(kByteOfCharacter[character.code_point]));
    spelling.remove_prefix(character.size);
  }
  return bytes;
}

ByteLevelBpe::ByteLevelBpe(ByteLevelParts parts)
    : PieceTokenizer(std::move(parts.vocabulary), std::move(parts.traits)),
      merges_(std::move(parts.merges)),
      pre_tokenizer_(parts.pre_tokenizer) {
  byte_symbols_.fill(-1);
  for (char32_t c = 0; c < kSpellingEnd; ++c) {
    if (kByteOfCharacter[c] < 0) continue;
    std::string spelling;
    append_utf8(c, spelling);
    const auto id = vocabulary().find(spelling);
    if (id && vocabulary()[*id].type == PieceType::kNormal)
      byte_symbols_[static_cast<size_t>(kByteOfCharacter[c])] = *id;
  }
}

std::vector<int32_t> ByteLevelBpe::encode(std::string_view text, SpecialText special) const {
  std::vector<int32_t> ids;
  BpeMerger merger(merges_);
  const auto on_literal = [&](int32_t id) { ids.push_back(id); };
  const auto on_text = [&](std::string_view part) { encode_part(part, merger, ids); };
  const LiteralSet none;
  const LiteralSet& literals = special == SpecialText::kParse ? vocabulary().special() : none;
  literals.split(
      text,
      [&](std::string_view part) { vocabulary().user_defined().split(part, on_text, on_literal); },
      on_literal);
  return ids;
}

void ByteLevelBpe::encode_part(std::string_view text, BpeMerger& merger,
                               std::vector<int32_t>& ids) const {
  std::vector<int32_t> symbols;
  split_words(pre_tokenizer_, text, [&](std::string_view word) {
    symbols.clear();
    for (const char byte : word) {
      const int32_t symbol = byte_symbols_[static_cast<unsigned char>(byte)];
      if (symbol >= 0) symbols.push_back(symbol);
    }
    merger.apply(symbols);
    ids.insert(ids.end(), symbols.begin(), symbols.end());
  });
}

std::string ByteLevelBpe::token_bytes(int32_t id) const {
  if (!vocabulary().contains(id) || is_control(id)) return {};
  const Piece& piece = vocabulary()[id];
  if (piece.type != PieceType::kNormal) return piece.text;
  // A few vocabularies hold pieces that are no spellings, added as normal ones: these are literal.
  return bytes_of_spelling(piece.text).value_or(piece.text);
}

}  // namespace mixtral
