#include "io/quoted.h"
#include "text/byte_level_bpe.h"
#include "text/sentencepiece_bpe.h"
#include "text/tokenizer_formats.h"
#include "text/tokenizer_parts.h"

namespace mixtral {
namespace {

constexpr std::string_view kModel = "tokenizer.ggml.model";
constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kScores = "tokenizer.ggml.scores";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";
constexpr std::string_view kPre = "tokenizer.ggml.pre";

/// The keys of one file, with the file's name before every message.
class Keys {
 public:
  Keys(const GgufMetadata& metadata, std::string_view where) : metadata_(metadata), where_(where) {}
  std::string_view where() const { return where_; }

  Result<const std::vector<std::string>*> strings(std::string_view key) const {
    MIXTRAL_TRY(const auto* found, in_file(metadata_.get_strings(key)));
    if (found == nullptr) return fail(ErrorCode::kBadInput, "{}: {} is missing", where_, key);
    return found;
  }
  Result<std::optional<std::vector<double>>> floats(std::string_view key) const {
    return in_file(metadata_.get_f64s(key));
  }
  Result<std::optional<std::vector<int64_t>>> integers(std::string_view key) const {
    return in_file(metadata_.get_i64s(key));
  }
  Result<std::string> string(std::string_view key) const {
    MIXTRAL_TRY(const auto found, in_file(metadata_.get_string(key)));
    return found.value_or("");
  }
  Result<bool> boolean(std::string_view key, bool otherwise) const {
    MIXTRAL_TRY(const auto found, in_file(metadata_.get_bool(key)));
    return found.value_or(otherwise);
  }
  /// nullopt if the key is absent; an id outside the vocabulary is an error.
  Result<std::optional<int32_t>> id(std::string_view key, const Vocabulary& vocabulary) const {
    MIXTRAL_TRY(const auto found, in_file(metadata_.get_u64(key)));
    if (!found) return std::nullopt;
    const auto bounded = static_cast<int64_t>(std::min<uint64_t>(*found, INT64_MAX));
    MIXTRAL_TRY(const int32_t id, check_id(vocabulary, bounded, key, where_));
    return id;
  }

 private:
  template <class T>
  Result<T> in_file(Result<T> result) const {
    if (!result) return with_context(std::move(result).error(), where_);
    return result;
  }
  const GgufMetadata& metadata_;
  std::string_view where_;
};

Result<Vocabulary> read_vocabulary(const Keys& keys) {
  MIXTRAL_TRY(const auto* tokens, keys.strings(kTokens));
  MIXTRAL_TRY(const auto types, keys.integers(kTypes));
  if (types && types->size() != tokens->size()) {
    return fail(ErrorCode::kBadInput, "{}: {} has {} entries for {} tokens", keys.where(), kTypes,
                types->size(), tokens->size());
  }
  if (!types) return fail(ErrorCode::kBadInput, "{}: {} is missing", keys.where(), kTypes);
  std::vector<Piece> pieces;
  pieces.reserve(tokens->size());
  for (size_t i = 0; i < tokens->size(); ++i) {
    auto type = piece_type_from_number((*types)[i]);
    if (!type) return with_context(type.error(), fmt::format("{}: token {}", keys.where(), i));
    if (*type == PieceType::kByte && !byte_of_piece((*tokens)[i])) {
      return fail(ErrorCode::kBadInput, "{}: byte token {} is {}, expected <0x00> to <0xFF>",
                  keys.where(), i, in_quotes((*tokens)[i]));
    }
    pieces.push_back({(*tokens)[i], guarded_type((*tokens)[i], *type)});
  }
  return Vocabulary::create(std::move(pieces), keys.where());
}

Result<TokenizerTraits> read_traits(const Keys& keys, const Vocabulary& vocabulary,
                                    bool adds_bos_otherwise) {
  TokenizerTraits traits;
  MIXTRAL_TRY(traits.bos_id, keys.id("tokenizer.ggml.bos_token_id", vocabulary));
  MIXTRAL_TRY(traits.eos_id, keys.id("tokenizer.ggml.eos_token_id", vocabulary));
  MIXTRAL_TRY(traits.unk_id, keys.id("tokenizer.ggml.unknown_token_id", vocabulary));
  MIXTRAL_TRY(const bool adds_bos,
              keys.boolean("tokenizer.ggml.add_bos_token", adds_bos_otherwise));
  traits.adds_bos = adds_bos && traits.bos_id;
  MIXTRAL_TRY(traits.chat_template_source, keys.string("tokenizer.chat_template"));
  traits.has_settings = true;
  std::vector<int64_t> named;
  for (const auto* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    MIXTRAL_TRY(const auto id, keys.id(key, vocabulary));
    if (id) named.push_back(*id);
  }
  MIXTRAL_TRY(add_end_ids(vocabulary, named, keys.where(), traits));
  return traits;
}

Result<std::unique_ptr<Tokenizer>> read_sentencepiece(const Keys& keys) {
  MIXTRAL_TRY(Vocabulary vocabulary, read_vocabulary(keys));
  MIXTRAL_TRY(const auto scores, keys.floats(kScores));
  if (!scores) return fail(ErrorCode::kBadInput, "{}: {} is missing", keys.where(), kScores);
  const std::vector<float> narrow(scores->begin(), scores->end());
  MIXTRAL_TRY(BpeMergeTable merges, merges_from_scores(vocabulary, narrow, keys.where()));
  MIXTRAL_TRY(TokenizerTraits traits, read_traits(keys, vocabulary, true));
  MIXTRAL_TRY(traits.adds_space_prefix, keys.boolean("tokenizer.ggml.add_space_prefix", true));
  return std::make_unique<SentencePieceBpe>(
      SentencePieceParts{std::move(vocabulary), std::move(merges), std::move(traits)});
}

Result<std::unique_ptr<Tokenizer>> read_byte_level(const Keys& keys) {
  MIXTRAL_TRY(const std::string pre, keys.string(kPre));
  const auto pre_tokenizer = pre_tokenizer_from_name(pre.empty() ? "default" : pre);
  if (!pre_tokenizer) {
    return fail(ErrorCode::kUnsupported, "{}: {} is {}, expected gpt-2 or smollm", keys.where(),
                kPre, in_quotes(pre));
  }
  MIXTRAL_TRY(Vocabulary vocabulary, read_vocabulary(keys));
  MIXTRAL_TRY(const auto* lines, keys.strings(kMerges));
  std::vector<SpelledMerge> list;
  list.reserve(lines->size());
  for (const std::string& line : *lines) {
    auto merge = parse_merge(line);
    if (!merge) return with_context(merge.error(), fmt::format("{}: {}", keys.where(), kMerges));
    list.push_back(*std::move(merge));
  }
  MIXTRAL_TRY(std::vector<BpeMerge> merges, merges_from_list(vocabulary, list, keys.where()));
  MIXTRAL_TRY(TokenizerTraits traits, read_traits(keys, vocabulary, false));
  traits.broken_utf8 = BrokenUtf8::kEachPart;
  return std::make_unique<ByteLevelBpe>(ByteLevelParts{
      std::move(vocabulary), BpeMergeTable(std::move(merges)), std::move(traits), *pre_tokenizer});
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> tokenizer_from_gguf(const GgufMetadata& metadata,
                                                       std::string_view where) {
  const Keys keys(metadata, where);
  MIXTRAL_TRY(const std::string model, keys.string(kModel));
  if (model.empty() || model == "none" || model == "no_vocab") return nullptr;
  if (model == "llama") return read_sentencepiece(keys);
  if (model == "gpt2") return read_byte_level(keys);
  return fail(ErrorCode::kUnsupported, "{}: {} is {}, expected llama or gpt2", where, kModel,
              in_quotes(model));
}

}  // namespace mixtral
