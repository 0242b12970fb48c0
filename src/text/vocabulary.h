// The pieces of a vocabulary: what each spells, what kind it is, and where literal ones stand in a
// text.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/function_ref.h"
#include "core/result.h"

namespace mixtral {

/// "▁" (U+2581), which SentencePiece writes for a space.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

/// Larger vocabularies are refused; the largest in use have about 260,000 pieces.
inline constexpr size_t kMaxPieces = size_t{1} << 20;

/// Numbered as in SentencePiece models and in GGUF's tokenizer.ggml.token_type.
enum class PieceType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,  ///< matched in the text as it stands, before any merging
  kUnused = 5,
  kByte = 6,
};
Result<PieceType> piece_type_from_number(int64_t number);
/// `type`, but kControl for user-defined pieces spelled "<|…|>": some files declare the markers of
/// their chat template so, and text must not become one.
PieceType guarded_type(std::string_view text, PieceType type);

struct Piece {
  std::string text;
  PieceType type = PieceType::kNormal;
};

/// Literals, looked for at any place of a text in time independent of their number.
class LiteralSet {
 public:
  struct Literal {
    std::string_view text;  ///< borrowed
    int32_t id;
  };
  struct Match {
    int32_t id;
    size_t size;
  };
  LiteralSet() = default;
  explicit LiteralSet(std::vector<Literal> literals);
  /// The longest literal that `text` begins with.
  std::optional<Match> longest_at_start(std::string_view text) const;
  /// Calls `on_text` with each stretch without literals, never an empty one, and `on_literal` with
  /// the id of each literal between them, in the order of the text.
  void split(std::string_view text, FunctionRef<void(std::string_view)> on_text,
             FunctionRef<void(int32_t)> on_literal) const;

 private:
  std::vector<Literal> sorted_;
  std::array<bool, 256> may_begin_{};  // by first byte
};

/// Pieces by id and by text. Immutable, not copied: literals point into it.
class Vocabulary {
 public:
  /// Fails, naming the piece, on more than kMaxPieces and on two pieces of the same text. Unused
  /// pieces without text (ids that a file leaves out) are allowed. `where` begins the messages.
  static Result<Vocabulary> create(std::vector<Piece> pieces, std::string_view where);
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  size_t size() const { return pieces_.size(); }
  bool contains(int64_t id) const { return id >= 0 && static_cast<uint64_t>(id) < size(); }
  const Piece& operator[](int32_t id) const { return pieces_[static_cast<size_t>(id)]; }
  std::optional<int32_t> find(std::string_view text) const;

  const LiteralSet& user_defined() const { return user_defined_; }
  /// Control and unknown pieces, for texts in which they are to be recognised.
  const LiteralSet& special() const { return special_; }

 private:
  explicit Vocabulary(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {}

  std::vector<Piece> pieces_;
  std::unordered_map<std::string_view, int32_t> by_text_;
  LiteralSet user_defined_, special_;
};

/// The value of a byte piece's spelling, "<0x0A>".
std::optional<uint8_t> byte_of_piece(std::string_view text);

}  // namespace mixtral
