// Tokenizers from what is in memory already; Tokenizer::load reads the files and calls these.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf.h"
#include "text/tokenizer.h"

namespace mixtral {

/// What Hugging Face folders say of a tokenizer outside tokenizer.json. Empty: not said.
struct TokenizerSettings {
  std::string bos_piece, eos_piece, unk_piece;
  std::optional<bool> adds_bos;
  std::vector<int64_t> end_ids;
  std::string chat_template;
  bool has_config = false;  ///< there is a tokenizer_config.json
};

/// The settings that lie beside a tokenizer file: tokenizer_config.json, generation_config.json,
/// chat_template.jinja. Files that are not there say nothing.
Result<TokenizerSettings> read_tokenizer_settings(const std::string& folder);

/// From `tokenizer.model`'s bytes. `where` begins the messages of this and the others.
Result<std::unique_ptr<Tokenizer>> tokenizer_from_sentencepiece(
    std::string_view bytes, std::string_view where, const TokenizerSettings& settings = {});

/// From `tokenizer.json`'s text: SentencePiece-like BPE with byte fallback, or byte-level BPE.
Result<std::unique_ptr<Tokenizer>> tokenizer_from_json(std::string_view text,
                                                       std::string_view where,
                                                       const TokenizerSettings& settings = {});

/// From the `tokenizer.*` keys of a GGUF file or a packed model; nullptr if it has none.
Result<std::unique_ptr<Tokenizer>> tokenizer_from_gguf(const GgufMetadata& metadata,
                                                       std::string_view where);

}  // namespace mixtral
