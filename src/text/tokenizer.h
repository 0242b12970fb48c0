// Text to token ids and back. Three kinds of files, two families of byte-pair encoding:
// SentencePiece with byte fallback (Llama, Mistral, Mixtral) and byte-level as in GPT-2.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace mixtral {

/// Whether "</s>" in a text is five characters or the control token.
enum class SpecialText { kAsText, kParse };

/// What one U+FFFD stands for where decoded bytes are not UTF-8.
enum class BrokenUtf8 {
  kEachByte,  ///< sentencepiece's way
  kEachPart,  ///< the longest part that begins as a character does: the way of byte-level decoders
};

/// What a tokenizer file says beside its vocabulary.
struct TokenizerTraits {
  std::optional<int32_t> bos_id, eos_id, unk_id;
  std::vector<int32_t> end_ids;  ///< all that end an answer: eos, <|im_end|>, …
  bool adds_bos = false;
  bool adds_space_prefix = false;
  BrokenUtf8 broken_utf8 = BrokenUtf8::kEachByte;
  std::string chat_template_source;
  bool has_settings = false;  ///< it came with a file that names the chat template, if there is one
};

/// Immutable and thread-safe. Ids outside the vocabulary are harmless everywhere: they decode to
/// nothing.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// `path` is a GGUF file, a packed model, a SentencePiece `tokenizer.model`, a `tokenizer.json`,
  /// or a folder with one of the last two. A folder's tokenizer.json comes first, because tokens
  /// added after training stand only there. Beside either, tokenizer_config.json,
  /// generation_config.json and chat_template.jinja are heeded. nullptr if a folder has no
  /// tokenizer, or a file of the first two kinds no tokenizer keys.
  static Result<std::unique_ptr<Tokenizer>> load(const std::string& path);

  virtual size_t vocab_size() const = 0;

  /// No BOS is added. Each call adds its own space prefix where the vocabulary has one, as does
  /// each part of the text after a control token. Never fails: broken UTF-8 becomes U+FFFD
  /// (SentencePiece) or its bytes (byte-level); what the vocabulary cannot spell becomes the
  /// unknown token, or nothing without one.
  virtual std::vector<int32_t> encode(std::string_view text,
                                      SpecialText special = SpecialText::kAsText) const = 0;

  /// The text of all ids; control tokens give nothing, bytes that are not UTF-8 give U+FFFD.
  /// Without the first piece's leading space if encode() adds one.
  virtual std::string decode(std::span<const int32_t> ids) const = 0;

  /// Raw bytes of one token: ▁ as a space, <0xNN> as the byte, "" for control tokens.
  virtual std::string token_bytes(int32_t id) const = 0;
  /// As the vocabulary spells it: "▁Hello", "<0x0A>", "</s>", byte-level "Ġthe".
  virtual std::string_view piece(int32_t id) const = 0;
  /// The id of piece(id) == `piece`.
  virtual std::optional<int32_t> find_piece(std::string_view piece) const = 0;
  virtual bool is_control(int32_t id) const = 0;

  std::optional<int32_t> bos_id() const { return traits_.bos_id; }
  std::optional<int32_t> eos_id() const { return traits_.eos_id; }
  std::optional<int32_t> unk_id() const { return traits_.unk_id; }
  /// All ids that end an answer.
  std::span<const int32_t> end_ids() const { return traits_.end_ids; }
  /// Whether texts begin with BOS when the model was trained so.
  bool adds_bos() const { return traits_.adds_bos; }
  bool adds_space_prefix() const { return traits_.adds_space_prefix; }
  BrokenUtf8 broken_utf8() const { return traits_.broken_utf8; }
  /// The Jinja text of the checkpoint's chat template, "" if it has none.
  const std::string& chat_template_source() const { return traits_.chat_template_source; }
  /// False for a bare vocabulary, with which nothing says what the model was trained for.
  bool has_settings() const { return traits_.has_settings; }

 protected:
  Tokenizer() = default;
  explicit Tokenizer(TokenizerTraits traits) : traits_(std::move(traits)) {}

 private:
  TokenizerTraits traits_;
};

}  // namespace mixtral
