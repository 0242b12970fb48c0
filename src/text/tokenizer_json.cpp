#include <algorithm>

#include "io/json.h"
#include "io/quoted.h"
#include "text/byte_level_bpe.h"
#include "text/json_fields.h"
#include "text/sentencepiece_bpe.h"
#include "text/tokenizer_formats.h"
#include "text/tokenizer_parts.h"

// `tokenizer.json` is the serialised pipeline of Hugging Face's tokenizers library: added tokens, a
// normaliser, a pre-tokeniser, a model, a post-processor and a decoder. We recognise the pipelines
// that amount to one of our two families and refuse others by the name of the step.

namespace mixtral {
namespace {

tl::unexpected<Error> unsupported(std::string_view where, std::string_view what,
                                  std::string_view found, std::string_view expected) {
  return fail(ErrorCode::kUnsupported, "{}: {} {}, expected {}", where, what, in_quotes(found),
              expected);
}

/// The steps of a pipeline part: none of null, itself, or the members of a Sequence.
std::vector<const Json*> steps_of(const Json* part, const char* sequence_key) {
  std::vector<const Json*> steps;
  if (part == nullptr || !part->is_object()) return steps;
  if (string_field(*part, "type") != "Sequence") return {part};
  for (const Json& step : elements(field(*part, sequence_key))) steps.push_back(&step);
  return steps;
}

/// How a SentencePiece-like pipeline treats spaces.
struct SpaceRules {
  bool escapes = false, adds_prefix = false;
};

Result<SpaceRules> read_space_rules(const Json& root, std::string_view where) {
  SpaceRules rules;
  for (const Json* step : steps_of(field(root, "normalizer"), "normalizers")) {
    const std::string type = string_field(*step, "type");
    const Json* pattern = field(*step, "pattern");
    if (type == "Prepend" && string_field(*step, "prepend") == kSpaceMark) {
      rules.adds_prefix = true;
    } else if (type == "Replace" && pattern != nullptr && string_field(*pattern, "String") == " " &&
               string_field(*step, "content") == kSpaceMark) {
      rules.escapes = true;
    } else {
      return unsupported(where, "normalizer", type, "Prepend or Replace of spaces by U+2581");
    }
  }
  for (const Json* step : steps_of(field(root, "pre_tokenizer"), "pretokenizers")) {
    const std::string type = string_field(*step, "type");
    if (type != "Metaspace" || string_field(*step, "replacement") != kSpaceMark)
      return unsupported(where, "pre_tokenizer", type, "Metaspace with U+2581");
    if (bool_field(*step, "split", true))
      return unsupported(where, "pre_tokenizer", "Metaspace with split", "one without");
    // "first" and "always" differ in tokenizers' own handling of texts after control tokens and of
    // texts that begin with a space; the models were trained on SentencePiece's ids, which always
    // have the prefix.
    const std::string scheme = string_field(*step, "prepend_scheme");
    rules.escapes = true;
    rules.adds_prefix =
        scheme.empty() ? bool_field(*step, "add_prefix_space", true) : scheme != "never";
  }
  if (!rules.escapes) {
    return fail(ErrorCode::kUnsupported, "{}: nothing in the pipeline writes spaces as U+2581",
                where);
  }
  return rules;
}

Result<PreTokenizer> read_pre_tokenizer(const Json& root, std::string_view where) {
  if (const auto steps = steps_of(field(root, "normalizer"), "normalizers"); !steps.empty())
    return unsupported(where, "normalizer", string_field(*steps[0], "type"), "none");
  bool digits = false;
  bool gpt2 = false;
  for (const Json* step : steps_of(field(root, "pre_tokenizer"), "pretokenizers")) {
    const std::string type = string_field(*step, "type");
    const Json* pattern = field(*step, "pattern");
    const std::string regex = pattern == nullptr ? "" : string_field(*pattern, "Regex");
    const bool isolates = type == "Split" && string_field(*step, "behavior") == "Isolated" &&
                          !bool_field(*step, "invert", false);
    if (!gpt2 && ((type == "Digits" && bool_field(*step, "individual_digits", false)) ||
                  (isolates && regex == R"(\p{N})"))) {
      digits = true;
    } else if (isolates && regex == kGpt2Pattern) {
      gpt2 = true;
    } else if (type == "ByteLevel" && !bool_field(*step, "add_prefix_space", true)) {
      gpt2 = gpt2 || bool_field(*step, "use_regex", true);
    } else {
      return unsupported(where, "pre_tokenizer", type == "Split" ? regex : type,
                         "single digits or GPT-2's pattern, without a prefix space");
    }
  }
  if (!gpt2) return unsupported(where, "pre_tokenizer", "none", "GPT-2's pattern");
  return digits ? PreTokenizer::kGpt2SingleDigits : PreTokenizer::kGpt2;
}

/// True if the pipeline spells bytes as GPT-2 does.
bool is_byte_level(const Json& root) {
  for (const Json* step : steps_of(field(root, "pre_tokenizer"), "pretokenizers")) {
    if (string_field(*step, "type") == "ByteLevel") return true;
  }
  return false;
}

Status check_model(const Json& model, std::string_view where) {
  if (const std::string type = string_field(model, "type"); !type.empty() && type != "BPE")
    return unsupported(where, "model.type", type, "BPE");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const std::string affix = string_field(model, key); !affix.empty())
      return unsupported(where, fmt::format("model.{}", key), affix, "none");
  }
  if (const Json* dropout = field(model, "dropout");
      dropout != nullptr && dropout->is_number() && dropout->get<double>() != 0)
    return unsupported(where, "model.dropout", dropout->dump(), "none");
  if (bool_field(model, "ignore_merges", false))
    return unsupported(where, "model.ignore_merges", "true", "false");
  return {};
}

/// Puts `piece` at `id`, growing the list; ids left out stay unused and empty.
Status place_piece(int64_t id, Piece piece, std::string_view where, std::vector<Piece>& pieces) {
  if (id < 0 || static_cast<uint64_t>(id) >= kMaxPieces) {
    return fail(ErrorCode::kBadInput, "{}: {} has id {}, expected 0 to {}", where,
                in_quotes(piece.text), id, kMaxPieces - 1);
  }
  const auto index = static_cast<size_t>(id);
  if (index >= pieces.size()) pieces.resize(index + 1, Piece{"", PieceType::kUnused});
  if (!pieces[index].text.empty() && pieces[index].text != piece.text) {
    return fail(ErrorCode::kBadInput, "{}: {} and {} both have id {}", where,
                in_quotes(pieces[index].text), in_quotes(piece.text), id);
  }
  pieces[index] = std::move(piece);
  return {};
}

Result<Vocabulary> read_vocabulary(const Json& root, const Json& model, std::string_view where) {
  const Json* vocab = field(model, "vocab");
  if (vocab == nullptr || !vocab->is_object())
    return fail(ErrorCode::kBadInput, "{}: model.vocab is no object", where);
  const bool byte_fallback = bool_field(model, "byte_fallback", false);
  const std::string unk = string_field(model, "unk_token");
  const auto type_of = [&](std::string_view text, PieceType otherwise) {
    if (text == unk) return PieceType::kUnknown;
    return byte_fallback && byte_of_piece(text) ? PieceType::kByte : otherwise;
  };
  std::vector<Piece> pieces;
  for (const auto& [text, id] : vocab->items()) {
    if (!id.is_number_integer())
      return fail(ErrorCode::kBadInput, "{}: model.vocab: the id of {} is no integer", where,
                  in_quotes(text));
    MIXTRAL_TRY(
        place_piece(id.get<int64_t>(), {text, type_of(text, PieceType::kNormal)}, where, pieces));
  }
  for (const Json& token : elements(field(root, "added_tokens"))) {
    const std::string text = string_field(token, "content");
    const Json* id = field(token, "id");
    if (text.empty() || id == nullptr || !id->is_number_integer())
      return fail(ErrorCode::kBadInput, "{}: an added token without content or id", where);
    const bool special = bool_field(token, "special", false);
    const PieceType kind =
        special ? PieceType::kControl : guarded_type(text, PieceType::kUserDefined);
    MIXTRAL_TRY(place_piece(id->get<int64_t>(), {text, type_of(text, kind)}, where, pieces));
  }
  return Vocabulary::create(std::move(pieces), where);
}

Result<std::vector<BpeMerge>> read_merges(const Json& model, const Vocabulary& vocabulary,
                                          std::string_view where) {
  const Json* merges = field(model, "merges");
  if (merges == nullptr || !merges->is_array())
    return fail(ErrorCode::kBadInput, "{}: model.merges is no list", where);
  std::vector<SpelledMerge> list;
  list.reserve(merges->size());
  for (const Json& entry : *merges) {
    if (entry.is_string()) {
      auto merge = parse_merge(entry.get_ref<const std::string&>());
      if (!merge) return with_context(merge.error(), fmt::format("{}: model.merges", where));
      list.push_back(*std::move(merge));
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      list.push_back({entry[0].get<std::string>(), entry[1].get<std::string>()});
    } else {
      return fail(ErrorCode::kBadInput, "{}: merge {} is neither a string nor a pair of strings",
                  where, list.size());
    }
  }
  return merges_from_list(vocabulary, list, where);
}

/// Whether the post-processor puts a special token before a text; nullopt if there is none that
/// decides it.
std::optional<bool> template_adds_bos(const Json& root) {
  for (const Json* step : steps_of(field(root, "post_processor"), "processors")) {
    if (string_field(*step, "type") != "TemplateProcessing") continue;
    const Json* single = field(*step, "single");
    if (single == nullptr || !single->is_array() || single->empty()) return false;
    return field((*single)[0], "SpecialToken") != nullptr;
  }
  return std::nullopt;
}

/// The id of a piece that the settings name, or of `otherwise` where they name none.
Result<std::optional<int32_t>> named_id(const Vocabulary& vocabulary, const std::string& name,
                                        std::string_view otherwise, std::string_view where) {
  if (name.empty()) {
    const auto id = vocabulary.find(otherwise);
    return id && vocabulary[*id].type != PieceType::kNormal ? id : std::nullopt;
  }
  const auto id = vocabulary.find(name);
  if (!id) {
    return fail(ErrorCode::kBadInput, "{}: {} of tokenizer_config.json is not in the vocabulary",
                where, in_quotes(name));
  }
  return id;
}

Result<TokenizerTraits> read_traits(const Json& root, const Vocabulary& vocabulary,
                                    const TokenizerSettings& settings, std::string_view where) {
  TokenizerTraits traits;
  MIXTRAL_TRY(traits.bos_id, named_id(vocabulary, settings.bos_piece, "<s>", where));
  MIXTRAL_TRY(traits.eos_id, named_id(vocabulary, settings.eos_piece, "</s>", where));
  const std::string unk = string_field(*field(root, "model"), "unk_token");
  MIXTRAL_TRY(traits.unk_id, named_id(vocabulary, settings.unk_piece, unk, where));
  const bool otherwise = template_adds_bos(root).value_or(!is_byte_level(root));
  traits.adds_bos = settings.adds_bos.value_or(otherwise) && traits.bos_id;
  traits.chat_template_source = settings.chat_template;
  traits.has_settings = settings.has_config;
  MIXTRAL_TRY(add_end_ids(vocabulary, settings.end_ids, where, traits));
  return traits;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> tokenizer_from_json(std::string_view text,
                                                       std::string_view where,
                                                       const TokenizerSettings& settings) {
  MIXTRAL_TRY(const Json root, parse_json(text, where));
  const Json* model = field(root, "model");
  if (model == nullptr || !model->is_object())
    return fail(ErrorCode::kBadInput, "{}: no tokenizer.json: model is missing", where);
  MIXTRAL_TRY(check_model(*model, where));
  MIXTRAL_TRY(Vocabulary vocabulary, read_vocabulary(root, *model, where));
  MIXTRAL_TRY(std::vector<BpeMerge> merges, read_merges(*model, vocabulary, where));
  MIXTRAL_TRY(TokenizerTraits traits, read_traits(root, vocabulary, settings, where));
  if (is_byte_level(root)) {
    MIXTRAL_TRY(const PreTokenizer pre_tokenizer, read_pre_tokenizer(root, where));
    traits.broken_utf8 = BrokenUtf8::kEachPart;
    return std::make_unique<ByteLevelBpe>(ByteLevelParts{
        std::move(vocabulary), BpeMergeTable(std::move(merges)), std::move(traits), pre_tokenizer});
  }
  if (!bool_field(*model, "byte_fallback", false)) {
    return fail(ErrorCode::kUnsupported,
                "{}: neither a ByteLevel pre_tokenizer nor model.byte_fallback", where);
  }
  MIXTRAL_TRY(const SpaceRules spaces, read_space_rules(root, where));
  traits.adds_space_prefix = spaces.adds_prefix;
  rank_by_result(vocabulary, merges);
  return std::make_unique<SentencePieceBpe>(SentencePieceParts{
      std::move(vocabulary), BpeMergeTable(std::move(merges)), std::move(traits)});
}

}  // namespace mixtral
