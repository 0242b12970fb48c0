#include "convert/gguf_tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "io/file.h"
#include "io/json.h"
#include "text/json_fields.h"
#include "text/sentencepiece_model.h"
#include "text/tokenizer.h"

namespace mixtral {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;

/// One entry per id, in the numbers and spellings of GGUF files.
struct Pieces {
  std::vector<std::string> texts;
  std::vector<int64_t> types;
  std::vector<double> scores;       // of SentencePiece-like vocabularies
  std::vector<std::string> merges;  // of byte-level ones
  bool byte_level = false;
  bool single_digits = false;
};

bool is_file(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

int64_t number(PieceType type) { return static_cast<int64_t>(type); }

Result<SentencePieceModel> read_sentencepiece(const std::string& path) {
  MIXTRAL_TRY(const std::string bytes, read_text_file(path, kMaxFileBytes));
  return parse_sentencepiece_model(bytes, path);
}

Result<Pieces> pieces_of_model(const std::string& path) {
  MIXTRAL_TRY(const SentencePieceModel model, read_sentencepiece(path));
  Pieces pieces;
  for (const Piece& piece : model.pieces) {
    pieces.texts.push_back(piece.text);
    pieces.types.push_back(number(piece.type));
  }
  pieces.scores.assign(model.scores.begin(), model.scores.end());
  return pieces;
}

/// "left right" of each merge, best first. The tokenizer has read the same file: its form is known.
std::vector<std::string> spelled_merges(const Json& root) {
  std::vector<std::string> merges;
  for (const Json& merge : root["model"]["merges"]) {
    merges.push_back(merge.is_string()
                         ? merge.get<std::string>()
                         : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  return merges;
}

/// Scores that put merges in the order of the list: the best rank of any merge that gives a piece.
std::vector<double> scores_of_merges(const std::vector<std::string>& merges,
                                     const std::vector<std::string>& texts) {
  std::unordered_map<std::string, size_t> ranks;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    std::string result = merges[rank];
    result.erase(result.find(' '), 1);
    ranks.emplace(std::move(result), rank);
  }
  std::vector<double> scores;
  for (const std::string& text : texts) {
    const auto rank = ranks.find(text);
    scores.push_back(-static_cast<double>(rank == ranks.end() ? merges.size() : rank->second));
  }
  return scores;
}

/// Scores of the SentencePiece model that tokenizer.json was made from; pieces added since have the
/// lowest.
Result<std::vector<double>> scores_of_model(const std::string& path,
                                            const std::vector<std::string>& texts) {
  MIXTRAL_TRY(const SentencePieceModel model, read_sentencepiece(path));
  std::unordered_map<std::string_view, float> by_text;
  float lowest = 0;
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    by_text.emplace(model.pieces[i].text, model.scores[i]);
    lowest = std::min(lowest, model.scores[i]);
  }
  std::vector<double> scores;
  for (const std::string& text : texts) {
    const auto score = by_text.find(text);
    scores.push_back(score == by_text.end() ? lowest : score->second);
  }
  return scores;
}

/// Types that the tokenizer does not tell: it knows control pieces only.
std::vector<int64_t> types_of(const Json& root, const Tokenizer& tokenizer, bool byte_level) {
  std::vector<int64_t> types(tokenizer.vocab_size(), number(PieceType::kNormal));
  for (size_t i = 0; i < types.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (!byte_level && byte_of_piece(tokenizer.piece(id))) types[i] = number(PieceType::kByte);
    if (tokenizer.is_control(id)) types[i] = number(PieceType::kControl);
  }
  if (const Json* added = field(root, "added_tokens"))
    for (const Json& token : *added)
      if (!bool_field(token, "special", false))
        types[token["id"].get<size_t>()] = number(PieceType::kUserDefined);
  if (const auto unk = tokenizer.unk_id(); unk && !byte_level)
    types[static_cast<size_t>(*unk)] = number(PieceType::kUnknown);
  return types;
}

Result<Pieces> pieces_of_json(const std::string& folder, const Tokenizer& tokenizer) {
  const std::string path = folder + "/tokenizer.json";
  MIXTRAL_TRY(const Json root, read_json_file(path, kMaxFileBytes));
  Pieces pieces;
  pieces.byte_level = !bool_field(root["model"], "byte_fallback", false);
  for (size_t i = 0; i < tokenizer.vocab_size(); ++i)
    pieces.texts.emplace_back(tokenizer.piece(static_cast<int32_t>(i)));
  pieces.types = types_of(root, tokenizer, pieces.byte_level);
  pieces.merges = spelled_merges(root);
  if (pieces.byte_level) {
    // The tokenizer refuses all pipelines but GPT-2's, with and without a step for digits.
    const std::string steps = root["pre_tokenizer"].dump();
    pieces.single_digits = steps.find("\"Digits\"") != std::string::npos ||
                           steps.find(R"("\\p{N}")") != std::string::npos;
    return pieces;
  }
  const std::string model = folder + "/tokenizer.model";
  if (is_file(model)) {
    MIXTRAL_TRY(pieces.scores, scores_of_model(model, pieces.texts));
  } else {
    pieces.scores = scores_of_merges(pieces.merges, pieces.texts);
  }
  return pieces;
}

/// Readers expect a piece for every row of the embeddings.
void fill_up(size_t vocab_size, Pieces& pieces) {
  pieces.texts.resize(vocab_size);
  pieces.types.resize(vocab_size, number(PieceType::kUnused));
  if (!pieces.byte_level) pieces.scores.resize(vocab_size, 0.0);
  for (size_t id = 0; id < vocab_size; ++id)
    if (pieces.texts[id].empty()) pieces.texts[id] = fmt::format("[PAD{}]", id);
}

void set_pieces(Pieces pieces, GgufMetadata& metadata) {
  metadata.set("tokenizer.ggml.model", std::string(pieces.byte_level ? "gpt2" : "llama"));
  metadata.set("tokenizer.ggml.tokens", std::move(pieces.texts));
  metadata.set("tokenizer.ggml.token_type", std::move(pieces.types));
  if (pieces.byte_level) {
    metadata.set("tokenizer.ggml.pre", std::string(pieces.single_digits ? "smollm" : "gpt-2"));
    metadata.set("tokenizer.ggml.merges", std::move(pieces.merges));
  } else {
    metadata.set("tokenizer.ggml.pre", std::string("default"));
    metadata.set("tokenizer.ggml.scores", std::move(pieces.scores));
  }
}

void set_traits(const Tokenizer& tokenizer, GgufMetadata& metadata) {
  const auto set_id = [&](std::string_view name, std::optional<int32_t> id) {
    if (id)
      metadata.set(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<uint64_t>(*id));
  };
  set_id("bos", tokenizer.bos_id());
  set_id("eos", tokenizer.eos_id());
  set_id("unknown", tokenizer.unk_id());
  metadata.set("tokenizer.ggml.add_bos_token", tokenizer.adds_bos());
  metadata.set("tokenizer.ggml.add_space_prefix", tokenizer.adds_space_prefix());
  if (!tokenizer.chat_template_source().empty())
    metadata.set("tokenizer.chat_template", tokenizer.chat_template_source());
}

}  // namespace

Status add_tokenizer_metadata(const std::string& folder, size_t vocab_size,
                              GgufMetadata& metadata) {
  MIXTRAL_TRY(const auto tokenizer, Tokenizer::load(folder));
  if (tokenizer == nullptr) return {};
  if (tokenizer->vocab_size() > vocab_size)
    return fail(ErrorCode::kBadInput,
                "{}: the tokenizer has {} pieces, expected at most {}, the model's vocabulary",
                folder, tokenizer->vocab_size(), vocab_size);
  MIXTRAL_TRY(Pieces pieces, is_file(folder + "/tokenizer.json")
                                 ? pieces_of_json(folder, *tokenizer)
                                 : pieces_of_model(folder + "/tokenizer.model"));
  fill_up(vocab_size, pieces);
  set_pieces(std::move(pieces), metadata);
  set_traits(*tokenizer, metadata);
  return {};
}

}  // namespace mixtral
