#include "text/sentencepiece_bpe.h"
#include "text/sentencepiece_model.h"
#include "text/tokenizer_formats.h"
#include "text/tokenizer_parts.h"

namespace mixtral {
namespace {

std::optional<int32_t> find_of_type(const Vocabulary& vocabulary, std::string_view text,
                                    PieceType type) {
  const auto id = vocabulary.find(text);
  return id && vocabulary[*id].type == type ? id : std::nullopt;
}

std::optional<int32_t> first_of_type(const Vocabulary& vocabulary, PieceType type) {
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    if (vocabulary[static_cast<int32_t>(i)].type == type) return static_cast<int32_t>(i);
  }
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> tokenizer_from_sentencepiece(std::string_view bytes,
                                                                std::string_view where,
                                                                const TokenizerSettings& settings) {
  MIXTRAL_TRY(SentencePieceModel model, parse_sentencepiece_model(bytes, where));
  MIXTRAL_TRY(Vocabulary vocabulary, Vocabulary::create(std::move(model.pieces), where));
  MIXTRAL_TRY(BpeMergeTable merges, merges_from_scores(vocabulary, model.scores, where));

  TokenizerTraits traits;
  traits.bos_id = find_of_type(vocabulary, model.bos_piece, PieceType::kControl);
  traits.eos_id = find_of_type(vocabulary, model.eos_piece, PieceType::kControl);
  traits.unk_id = first_of_type(vocabulary, PieceType::kUnknown);
  traits.adds_bos = settings.adds_bos.value_or(true) && traits.bos_id;
  traits.adds_space_prefix = model.adds_space_prefix;
  traits.chat_template_source = settings.chat_template;
  traits.has_settings = settings.has_config;
  MIXTRAL_TRY(add_end_ids(vocabulary, settings.end_ids, where, traits));
  return std::make_unique<SentencePieceBpe>(
      SentencePieceParts{std::move(vocabulary), std::move(merges), std::move(traits),
                         model.byte_fallback, std::move(model.unk_text)});
}

}  // namespace mixtral
