#include "convert/tokenizer_json.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "core/check.h"
#include "io/json.h"
#include "text/pre_tokenizer.h"
#include "text/vocabulary.h"

namespace mixtral {
namespace {

/// A vocabulary as GGUF keys describe it. Borrows from the metadata.
struct Pieces {
  const std::vector<std::string>* texts;
  std::vector<int64_t> types;

  bool has_type(size_t id, PieceType type) const { return types[id] == static_cast<int64_t>(type); }
};

Result<Pieces> read_pieces(const GgufMetadata& metadata) {
  Pieces pieces{};
  MIXTRAL_TRY(pieces.texts, metadata.get_strings("tokenizer.ggml.tokens"));
  MIXTRAL_TRY(auto types, metadata.get_i64s("tokenizer.ggml.token_type"));
  MIXTRAL_CHECK(pieces.texts != nullptr && types && types->size() == pieces.texts->size(),
                "a tokenizer was made of this metadata");
  pieces.types = *std::move(types);
  return pieces;
}

Json replace(std::string_view from, std::string_view to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

Json sequence(const char* key, Json steps) {
  return {{"type", "Sequence"}, {key, std::move(steps)}};
}

/// Object members in order, without the look-up among all earlier ones that adding one by one
/// costs.
class ObjectBuilder {
 public:
  void add(std::string key, Json value) {
    object_.Json::object_t::Container::emplace_back(std::move(key), std::move(value));
  }
  Json take() && { return Json(std::move(object_)); }

 private:
  Json::object_t object_;
};

Json vocabulary_object(const Pieces& pieces) {
  ObjectBuilder vocab;
  for (size_t id = 0; id < pieces.texts->size(); ++id) vocab.add((*pieces.texts)[id], id);
  return std::move(vocab).take();
}

Json added_tokens(const Pieces& pieces) {
  Json added = Json::array();
  for (size_t id = 0; id < pieces.texts->size(); ++id) {
    const bool special =
        pieces.has_type(id, PieceType::kControl) || pieces.has_type(id, PieceType::kUnknown);
    if (!special && !pieces.has_type(id, PieceType::kUserDefined)) continue;
    added.push_back({{"id", id},
                     {"content", (*pieces.texts)[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  }
  return added;
}

/// Some files have no key for it, but the piece's type tells.
Json unknown_token(const Pieces& pieces) {
  for (size_t id = 0; id < pieces.texts->size(); ++id)
    if (pieces.has_type(id, PieceType::kUnknown)) return (*pieces.texts)[id];
  return nullptr;
}

struct Merge {
  size_t left, right, result;
};

/// All pairs of pieces that together are a piece, best score first, as SentencePiece finds them.
std::vector<Merge> merges_of_scores(const Pieces& pieces, const std::vector<double>& scores) {
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < pieces.texts->size(); ++id)
    if (pieces.has_type(id, PieceType::kNormal)) ids.emplace((*pieces.texts)[id], id);
  std::vector<Merge> merges;
  for (size_t id = 0; id < pieces.texts->size(); ++id) {
    if (!pieces.has_type(id, PieceType::kNormal)) continue;
    const std::string_view text = (*pieces.texts)[id];
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const auto left = ids.find(text.substr(0, cut)), right = ids.find(text.substr(cut));
      if (left != ids.end() && right != ids.end())
        merges.push_back({left->second, right->second, id});
    }
  }
  std::stable_sort(merges.begin(), merges.end(), [&](const Merge& a, const Merge& b) {
    return scores[a.result] > scores[b.result];
  });
  return merges;
}

Result<Json> sentencepiece_merges(const GgufMetadata& metadata, const Pieces& pieces) {
  MIXTRAL_TRY(const auto scores, metadata.get_f64s("tokenizer.ggml.scores"));
  MIXTRAL_CHECK(scores && scores->size() == pieces.texts->size(),
                "a tokenizer was made of this metadata");
  Json list = Json::array();
  for (const Merge& merge : merges_of_scores(pieces, *scores))
    list.push_back(Json::array({(*pieces.texts)[merge.left], (*pieces.texts)[merge.right]}));
  return list;
}

Result<Json> byte_level_merges(const GgufMetadata& metadata) {
  MIXTRAL_TRY(const auto* merges, metadata.get_strings("tokenizer.ggml.merges"));
  MIXTRAL_CHECK(merges != nullptr, "a tokenizer was made of this metadata");
  Json list = Json::array();
  for (const std::string& merge : *merges) {
    const size_t space = merge.find(' ');
    list.push_back(Json::array({merge.substr(0, space), merge.substr(space + 1)}));
  }
  return list;
}

Json bpe_model(const Pieces& pieces, Json merges, const Json& unk_token, bool byte_fallback) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unk_token},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", byte_fallback},
          {"byte_fallback", byte_fallback},
          {"ignore_merges", false},
          {"vocab", vocabulary_object(pieces)},
          {"merges", std::move(merges)}};
}

/// BOS before a text and before the first of two.
Json bos_template(const Tokenizer& tokenizer) {
  const int32_t id = *tokenizer.bos_id();
  const std::string bos(tokenizer.piece(id));
  const Json special = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
  const Json first = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json second = {{"Sequence", {{"id", "B"}, {"type_id", 0}}}};
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({special, first})},
          {"pair", Json::array({special, first, second})},
          {"special_tokens",
           {{bos, {{"id", bos}, {"ids", Json::array({id})}, {"tokens", Json::array({bos})}}}}}};
}

Json byte_level_step(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json sentencepiece_normalizer(bool adds_space_prefix) {
  const Json escape = replace(" ", kSpaceMark);
  if (!adds_space_prefix) return escape;
  return sequence("normalizers",
                  Json::array({{{"type", "Prepend"}, {"prepend", kSpaceMark}}, escape}));
}

Json sentencepiece_decoder(bool adds_space_prefix) {
  Json steps =
      Json::array({replace(kSpaceMark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (adds_space_prefix)
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return sequence("decoders", std::move(steps));
}

Json pre_tokenizer_of(PreTokenizer kind) {
  const Json gpt2 = byte_level_step(true);
  if (kind == PreTokenizer::kGpt2) return gpt2;
  return sequence("pretokenizers",
                  Json::array({{{"type", "Digits"}, {"individual_digits", true}}, gpt2}));
}

Json pipeline(const Pieces& pieces) {
  return {{"version", "1.0"},          {"truncation", nullptr},
          {"padding", nullptr},        {"added_tokens", added_tokens(pieces)},
          {"normalizer", nullptr},     {"pre_tokenizer", nullptr},
          {"post_processor", nullptr}, {"decoder", nullptr},
          {"model", nullptr}};
}

}  // namespace

Result<std::string> tokenizer_json(const GgufMetadata& metadata, const Tokenizer& tokenizer) {
  MIXTRAL_TRY(const Pieces pieces, read_pieces(metadata));
  MIXTRAL_TRY(const auto family, metadata.get_string("tokenizer.ggml.model"));
  Json root = pipeline(pieces);
  if (family == "llama") {
    MIXTRAL_TRY(Json merges, sentencepiece_merges(metadata, pieces));
    root["normalizer"] = sentencepiece_normalizer(tokenizer.adds_space_prefix());
    root["decoder"] = sentencepiece_decoder(tokenizer.adds_space_prefix());
    root["model"] = bpe_model(pieces, std::move(merges), unknown_token(pieces), true);
  } else {
    MIXTRAL_TRY(const auto pre, metadata.get_string("tokenizer.ggml.pre"));
    const auto kind = pre_tokenizer_from_name(pre.value_or("default"));
    MIXTRAL_TRY(Json merges, byte_level_merges(metadata));
    root["pre_tokenizer"] = pre_tokenizer_of(kind.value_or(PreTokenizer::kGpt2));
    root["post_processor"] = byte_level_step(true);
    root["decoder"] = byte_level_step(true);
    root["model"] = bpe_model(pieces, std::move(merges), nullptr, false);
  }
  if (tokenizer.adds_bos()) root["post_processor"] = bos_template(tokenizer);
  return root.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mixtral
