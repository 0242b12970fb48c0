#include "text/sentencepiece_model.h"

#include <array>
#include <bit>

#include "io/quoted.h"

namespace mixtral {
namespace {

/// One field of a protocol buffer message.
struct Field {
  uint64_t number = 0;
  enum class Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 } wire = Wire::kVarint;
  uint64_t value = 0;      ///< of the numeric kinds
  std::string_view bytes;  ///< of kBytes
};

/// Reads the fields of one message in order; nothing is read beyond its bytes.
class MessageReader {
 public:
  MessageReader(std::string_view bytes, std::string_view where) : rest_(bytes), where_(where) {}

  bool at_end() const { return rest_.empty(); }

  Result<Field> next() {
    MIXTRAL_TRY(const uint64_t tag, varint());
    Field field;
    field.number = tag >> 3;
    field.wire = static_cast<Field::Wire>(tag & 7);
    if (field.number == 0) return broken("field number 0");
    switch (field.wire) {
      case Field::Wire::kVarint: {
        MIXTRAL_TRY(field.value, varint());
        return field;
      }
      case Field::Wire::kFixed64: {
        MIXTRAL_TRY(field.value, fixed(8));
        return field;
      }
      case Field::Wire::kFixed32: {
        MIXTRAL_TRY(field.value, fixed(4));
        return field;
      }
      case Field::Wire::kBytes: {
        MIXTRAL_TRY(const uint64_t size, varint());
        MIXTRAL_TRY(field.bytes, take(size));
        return field;
      }
    }
    return broken("unknown wire type");
  }

 private:
  tl::unexpected<Error> broken(std::string_view what) const {
    return fail(ErrorCode::kBadInput, "{}: no SentencePiece model, or damaged: {}", where_, what);
  }

  Result<std::string_view> take(uint64_t size) {
    if (size > rest_.size()) return broken("it ends within a field");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  Result<uint64_t> varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      MIXTRAL_TRY(const std::string_view byte, take(1));
      const auto bits = static_cast<unsigned char>(byte.front());
      value |= static_cast<uint64_t>(bits & 0x7F) << shift;
      if (bits < 0x80) return value;
    }
    return broken("a number longer than 64 bits");
  }

  Result<uint64_t> fixed(size_t size) {
    MIXTRAL_TRY(const std::string_view bytes, take(size));
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i)
      value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    return value;
  }

  std::string_view rest_;
  std::string_view where_;
};

using Wire = Field::Wire;

bool is(const Field& field, uint64_t number, Wire wire) {
  return field.number == number && field.wire == wire;
}

/// Fills one kind of message; `Handler` returns a Status per field.
template <class Handler>
Status read_message(std::string_view bytes, std::string_view where, Handler handler) {
  MessageReader reader(bytes, where);
  while (!reader.at_end()) {
    MIXTRAL_TRY(const Field field, reader.next());
    MIXTRAL_TRY(handler(field));
  }
  return {};
}

/// The parts of TrainerSpec and NormalizerSpec that decide whether we can do the same.
struct Specs {
  bool has_trainer = false, has_normalizer = false;
  uint64_t model_type = 1;  // unigram, the schema's default
  bool space_as_suffix = false;
  bool rewrites_characters = false;
  bool removes_extra_spaces = true, escapes_spaces = true;
  std::string normalizer_name;
};

Status read_piece(std::string_view bytes, std::string_view where, SentencePieceModel& model) {
  if (model.pieces.size() >= kMaxPieces)
    return fail(ErrorCode::kTooLarge, "{}: more than {} pieces", where, kMaxPieces);
  Piece piece;
  float score = 0;
  MIXTRAL_TRY(read_message(bytes, where, [&](const Field& field) -> Status {
    if (is(field, 1, Wire::kBytes)) piece.text = field.bytes;
    if (is(field, 2, Wire::kFixed32))
      score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    if (is(field, 3, Wire::kVarint)) {
      auto type = piece_type_from_number(static_cast<int64_t>(field.value));
      if (!type)
        return with_context(type.error(), fmt::format("{}: piece {}", where, model.pieces.size()));
      piece.type = *type;
    }
    return {};
  }));
  model.pieces.push_back(std::move(piece));
  model.scores.push_back(score);
  return {};
}

Status read_trainer_spec(std::string_view bytes, std::string_view where, SentencePieceModel& model,
                         Specs& specs) {
  specs.has_trainer = true;
  return read_message(bytes, where, [&](const Field& field) -> Status {
    if (is(field, 3, Wire::kVarint)) specs.model_type = field.value;
    if (is(field, 24, Wire::kVarint)) specs.space_as_suffix = field.value != 0;
    if (is(field, 35, Wire::kVarint)) model.byte_fallback = field.value != 0;
    if (is(field, 44, Wire::kBytes)) model.unk_text = field.bytes;
    if (is(field, 46, Wire::kBytes)) model.bos_piece = field.bytes;
    if (is(field, 47, Wire::kBytes)) model.eos_piece = field.bytes;
    return {};
  });
}

Status read_normalizer_spec(std::string_view bytes, std::string_view where,
                            SentencePieceModel& model, Specs& specs) {
  specs.has_normalizer = true;
  return read_message(bytes, where, [&](const Field& field) -> Status {
    if (is(field, 1, Wire::kBytes)) specs.normalizer_name = field.bytes;
    if (is(field, 2, Wire::kBytes)) specs.rewrites_characters = !field.bytes.empty();
    if (is(field, 3, Wire::kVarint)) model.adds_space_prefix = field.value != 0;
    if (is(field, 4, Wire::kVarint)) specs.removes_extra_spaces = field.value != 0;
    if (is(field, 5, Wire::kVarint)) specs.escapes_spaces = field.value != 0;
    return {};
  });
}

Status check_supported(const SentencePieceModel& model, const Specs& specs,
                       std::string_view where) {
  if (model.pieces.empty() || !specs.has_trainer || !specs.has_normalizer) {
    return fail(ErrorCode::kBadInput,
                "{}: no SentencePiece model, or cut off: {} pieces, trainer_spec {}, "
                "normalizer_spec {}",
                where, model.pieces.size(), specs.has_trainer ? "found" : "missing",
                specs.has_normalizer ? "found" : "missing");
  }
  constexpr std::string_view kKinds[] = {"unigram", "bpe", "word", "char"};
  if (specs.model_type != 2) {
    const bool known = specs.model_type >= 1 && specs.model_type <= 4;
    return fail(ErrorCode::kUnsupported, "{}: a SentencePiece model of kind {}, expected bpe",
                where, known ? kKinds[specs.model_type - 1] : "unknown");
  }
  if (specs.rewrites_characters) {
    return fail(ErrorCode::kUnsupported, "{}: normaliser {} rewrites the text, expected identity",
                where, in_quotes(specs.normalizer_name));
  }
  if (specs.removes_extra_spaces || !specs.escapes_spaces || specs.space_as_suffix) {
    return fail(ErrorCode::kUnsupported, "{}: unsupported treatment of spaces: {}", where,
                specs.removes_extra_spaces ? "remove_extra_whitespaces is true"
                : specs.space_as_suffix    ? "treat_whitespace_as_suffix is true"
                                           : "escape_whitespaces is false");
  }
  return {};
}

Status check_bytes(const SentencePieceModel& model, std::string_view where) {
  std::array<bool, 256> seen{};
  size_t count = 0;
  for (const Piece& piece : model.pieces) {
    if (piece.type != PieceType::kByte) continue;
    const auto byte = byte_of_piece(piece.text);
    if (!byte) {
      return fail(ErrorCode::kBadInput, "{}: byte piece {}, expected <0x00> to <0xFF>", where,
                  in_quotes(piece.text));
    }
    count += seen[*byte] ? 0 : 1;
    seen[*byte] = true;
  }
  if (model.byte_fallback && count != 256)
    return fail(ErrorCode::kBadInput, "{}: {} byte pieces, expected 256", where, count);
  return {};
}

}  // namespace

Result<SentencePieceModel> parse_sentencepiece_model(std::string_view bytes,
                                                     std::string_view where) {
  SentencePieceModel model;
  Specs specs;
  MIXTRAL_TRY(read_message(bytes, where, [&](const Field& field) -> Status {
    if (is(field, 1, Wire::kBytes)) return read_piece(field.bytes, where, model);
    if (is(field, 2, Wire::kBytes)) return read_trainer_spec(field.bytes, where, model, specs);
    if (is(field, 3, Wire::kBytes)) return read_normalizer_spec(field.bytes, where, model, specs);
    return {};
  }));
  MIXTRAL_TRY(check_supported(model, specs, where));
  MIXTRAL_TRY(check_bytes(model, where));
  return model;
}

}  // namespace mixtral
