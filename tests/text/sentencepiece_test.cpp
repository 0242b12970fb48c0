#include <chrono>
#include <cmath>

#include "text/text_support.h"

namespace mixtral::testing {
namespace {

std::unique_ptr<Tokenizer> load_mixtral() {
  const auto path = find_golden("tokenizer/tokenizer.model");
  return path ? checked(Tokenizer::load(*path)) : nullptr;
}

void expect_golden_ids(const Tokenizer* tokenizer) {
  ASSERT_NE(tokenizer, nullptr);
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/encode.jsonl");
  const auto lines = read_lines(path);
  ASSERT_GT(lines.size(), 500u);
  for (const auto& line : lines) {
    const auto text = line["text"].get<std::string>();
    const auto ids = line["ids"].get<Ids>();
    EXPECT_EQ(tokenizer->encode(text), ids) << text;
    EXPECT_EQ(tokenizer->decode(ids), line["decoded"].get<std::string>());
  }
}

SentencePieceModel parse_mixtral(const std::string& path) {
  auto model = parse_sentencepiece_model(read_file(path), "tokenizer.model");
  EXPECT_TRUE(model.has_value());
  return *std::move(model);
}

TEST(SentencePiece, GivesGoldenIdsFromTokenizerModel) {
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/tokenizer.model");
  const auto tokenizer = checked(Tokenizer::load(path));
  expect_golden_ids(tokenizer.get());
  EXPECT_EQ(tokenizer->vocab_size(), 32000u);
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->unk_id(), 0);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_TRUE(tokenizer->adds_space_prefix());
  EXPECT_EQ(Ids(tokenizer->end_ids().begin(), tokenizer->end_ids().end()), Ids{2});
}

TEST(SentencePiece, GivesGoldenIdsFromGguf) {
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/tokenizer.model");
  const TemporaryFolder folder;
  const std::string file = folder.file("vocabulary.gguf");
  auto writer = GgufWriter::create(file, gguf_of(parse_mixtral(path)), {});
  ASSERT_TRUE(writer.has_value()) << writer.error().message;
  ASSERT_TRUE(writer->finish().has_value());
  const auto tokenizer = checked(Tokenizer::load(file));
  expect_golden_ids(tokenizer.get());
  EXPECT_EQ(tokenizer->chat_template_source(), "{{ '[INST] ' }}");
}

TEST(SentencePiece, GivesGoldenIdsFromTokenizerJson) {
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/tokenizer.model");
  const SentencePieceModel model = parse_mixtral(path);
  for (const bool newer : {false, true}) {
    const auto tokenizer = checked(tokenizer_from_json(json_of(model, newer).dump(), "json"));
    expect_golden_ids(tokenizer.get());
    EXPECT_EQ(tokenizer->bos_id(), 1);
    EXPECT_EQ(tokenizer->eos_id(), 2);
    EXPECT_TRUE(tokenizer->adds_bos());
  }
}

TEST(SentencePiece, DecodesAnyIdsAsSentencepieceDoes) {
  const auto tokenizer = load_mixtral();
  if (tokenizer == nullptr) GTEST_SKIP() << "no golden data";
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/decode.jsonl");
  for (const auto& line : read_lines(path))
    EXPECT_EQ(tokenizer->decode(line["ids"].get<Ids>()), line["decoded"].get<std::string>());
  EXPECT_EQ(tokenizer->decode(Ids{28705, 22557}), " Hello");
  EXPECT_EQ(tokenizer->decode(Ids{13, 22557}), "\n Hello");
  EXPECT_EQ(tokenizer->decode(Ids{1, 22557, 28808, 2}), "Hello!");
  EXPECT_EQ(tokenizer->decode(Ids{0}), " ⁇ ");
  EXPECT_EQ(tokenizer->decode(Ids{-1, 32000, 2147483647, 22557}), "Hello");
}

TEST(SentencePiece, SpellsPiecesAndBytes) {
  const auto tokenizer = load_mixtral();
  if (tokenizer == nullptr) GTEST_SKIP() << "no golden data";
  EXPECT_EQ(tokenizer->piece(22557), "▁Hello");
  EXPECT_EQ(tokenizer->token_bytes(22557), " Hello");
  EXPECT_EQ(tokenizer->piece(13), "<0x0A>");
  EXPECT_EQ(tokenizer->token_bytes(13), "\n");
  EXPECT_EQ(tokenizer->token_bytes(3), std::string(1, '\0'));
  EXPECT_EQ(tokenizer->piece(2), "</s>");
  EXPECT_EQ(tokenizer->token_bytes(2), "");
  EXPECT_TRUE(tokenizer->is_control(1));
  EXPECT_FALSE(tokenizer->is_control(13));
  EXPECT_EQ(tokenizer->find_piece("▁Hello"), 22557);
  EXPECT_EQ(tokenizer->piece(-1), "");
  EXPECT_EQ(tokenizer->piece(32000), "");
  EXPECT_EQ(tokenizer->token_bytes(32000), "");
}

TEST(SentencePiece, MergesRunsOfSpacesLastAndFromTheLeft) {
  const auto tokenizer = load_mixtral();
  if (tokenizer == nullptr) GTEST_SKIP() << "no golden data";
  const auto spaces = [&](size_t n) { return tokenizer->encode(std::string(n, ' ') + "a"); };
  EXPECT_EQ(spaces(1), (Ids{28705, 264}));
  EXPECT_EQ(spaces(7), (Ids{5390, 264}));
  EXPECT_EQ(spaces(15), (Ids{1417, 28705, 264}));  // no piece has fifteen
  EXPECT_EQ(spaces(18), (Ids{359, 259, 264}));
}

TEST(SentencePiece, ReadsBrokenUtf8AsReplacementCharacters) {
  const auto tokenizer = load_mixtral();
  if (tokenizer == nullptr) GTEST_SKIP() << "no golden data";
  EXPECT_EQ(tokenizer->encode("\xff"), (Ids{28705, 29137}));
  EXPECT_EQ(tokenizer->encode("a\xe2\x82"
                              "b"),
            (Ids{264, 29137, 29137, 28726}));
  EXPECT_EQ(tokenizer->encode("\xf0\x9f\x99"), (Ids{28705, 29137, 29137, 29137}));
  EXPECT_EQ(tokenizer->encode("\xed\xa0\x80"), (Ids{28705, 29137, 29137, 29137}));
}

TEST(SentencePiece, ParsesControlTokensOnlyWhenAsked) {
  const auto tokenizer = load_mixtral();
  if (tokenizer == nullptr) GTEST_SKIP() << "no golden data";
  EXPECT_EQ(tokenizer->encode("</s>"), (Ids{1867, 28713, 28767}));
  EXPECT_EQ(tokenizer->encode("<s>Hello</s>Hello", SpecialText::kParse), (Ids{1, 22557, 2, 22557}));
}

TEST(SentencePiece, EncodesAMebibyteOfOneWordInTime) {
  const auto tokenizer = load_mixtral();
  if (tokenizer == nullptr) GTEST_SKIP() << "no golden data";
  std::string word;
  while (word.size() < (size_t{1} << 20)) word.push_back("etaoinshrdlu"[word.size() * 7 % 12]);
  for (const std::string& text :
       {word, std::string(word.size(), 'a'), std::string(word.size(), ' ')}) {
    const auto start = std::chrono::steady_clock::now();
    const Ids ids = tokenizer->encode(text);
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(tokenizer->decode(ids), text);
    // Under a second on an idle machine; sanitizers and neighbours take their share.
    EXPECT_LT(std::chrono::duration<double>(took).count(), 20);
  }
}

// A small model of each trait that Mixtral's does not have.
SentencePieceModel small_model() {
  SentencePieceModel model;
  model.adds_space_prefix = false;
  const auto add = [&](std::string text, float score, PieceType type = PieceType::kNormal) {
    model.pieces.push_back({std::move(text), type});
    model.scores.push_back(score);
  };
  add("<unk>", 0, PieceType::kUnknown);
  add("<s>", 0, PieceType::kControl);
  add("</s>", 0, PieceType::kControl);
  add("a", -1);
  add("b", -2);
  add("c", -3);
  add("ab", -4, PieceType::kUnused);
  add("abc", -5);
  add("<tool>", 0, PieceType::kUserDefined);
  add("xa", -6);  // "x" itself is no piece
  return model;
}

TEST(SentencePiece, SplitsUnusedPiecesAgain) {
  GgufMetadata metadata = gguf_of(small_model());
  metadata.set("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = checked(tokenizer_from_gguf(metadata, "small"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{3, 4}));
  EXPECT_EQ(tokenizer->encode("abc"), (Ids{7}));
  EXPECT_EQ(tokenizer->encode("xa"), (Ids{9}));
}

TEST(SentencePiece, MatchesUserDefinedPiecesBeforeMerging) {
  GgufMetadata metadata = gguf_of(small_model());
  metadata.set("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = checked(tokenizer_from_gguf(metadata, "small"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("a<tool>abc"), (Ids{3, 8, 7}));
}

TEST(SentencePiece, GivesOneUnknownForARunWithoutByteFallback) {
  GgufMetadata metadata = gguf_of(small_model());
  metadata.set("tokenizer.ggml.add_space_prefix", false);
  const auto tokenizer = checked(tokenizer_from_gguf(metadata, "small"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("aééb"), (Ids{3, 0, 4}));
  EXPECT_EQ(tokenizer->decode(Ids{3, 0, 4}), "a ⁇ b");
}

TEST(SentencePieceModel, RefusesAFileCutAtAnyByte) {
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/tokenizer.model");
  const std::string whole = read_file(path);
  const auto refused = [&](size_t size) {
    return !parse_sentencepiece_model(std::string_view(whole).substr(0, size), "cut").has_value();
  };
  for (size_t size = 0; size < whole.size(); size += size < 2000 ? 1 : 20011)
    EXPECT_TRUE(refused(size)) << size;
  for (size_t size = whole.size() - 250; size < whole.size(); ++size)
    EXPECT_TRUE(refused(size)) << size;
  EXPECT_FALSE(refused(whole.size()));
}

std::string field(int number, std::string_view bytes) {
  std::string out;
  out.push_back(static_cast<char>(number << 3 | 2));
  out.push_back(static_cast<char>(bytes.size()));
  return out.append(bytes);
}

TEST(SentencePieceModel, NamesWhatItDoesNotSupport) {
  const std::string piece = field(1, field(1, "a"));
  const std::string bpe = field(2, std::string("\x18\x02", 2));
  const std::string unigram = field(2, std::string("\x18\x01", 2));
  const std::string identity = field(3, std::string("\x20\x00", 2));
  const auto error_of = [](const std::string& bytes) {
    const auto model = parse_sentencepiece_model(bytes, "m");
    return model ? std::string() : model.error().message;
  };
  EXPECT_EQ(error_of(piece + bpe + identity), "");
  EXPECT_NE(error_of(piece + unigram + identity).find("unigram, expected bpe"), std::string::npos);
  EXPECT_NE(
      error_of(piece + bpe + field(3, field(1, "nmt_nfkc") + field(2, "map"))).find("nmt_nfkc"),
      std::string::npos);
  EXPECT_NE(error_of(piece + bpe + field(3, "")).find("remove_extra_whitespaces"),
            std::string::npos);
  EXPECT_NE(error_of("pickle"), "");
  EXPECT_NE(error_of(std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11)), "");
}

TEST(TokenizerGguf, RefusesVocabulariesThatContradictThemselves) {
  const auto error_of = [](auto change) {
    GgufMetadata metadata = gguf_of(small_model());
    change(metadata);
    const auto tokenizer = tokenizer_from_gguf(metadata, "file.gguf");
    return tokenizer ? std::string() : tokenizer.error().message;
  };
  EXPECT_EQ(error_of([](GgufMetadata&) {}), "");
  EXPECT_NE(error_of([](GgufMetadata& m) {
              m.set("tokenizer.ggml.scores", std::vector<double>{1, 2});
            }).find("2 scores for 10 pieces"),
            std::string::npos);
  EXPECT_NE(error_of([](GgufMetadata& m) {
              m.set("tokenizer.ggml.bos_token_id", uint64_t{10});
            }).find("tokenizer.ggml.bos_token_id is 10"),
            std::string::npos);
  EXPECT_NE(error_of([](GgufMetadata& m) {
              m.set("tokenizer.ggml.scores", std::vector<double>(10, NAN));
            }).find("not finite"),
            std::string::npos);
  EXPECT_NE(error_of([](GgufMetadata& m) {
              m.set("tokenizer.ggml.tokens", std::vector<std::string>(10, "twice"));
            }).find("both"),
            std::string::npos);
  EXPECT_NE(error_of([](GgufMetadata& m) {
              m.set("tokenizer.ggml.token_type", std::vector<int64_t>(10, 7));
            }).find("piece type 7"),
            std::string::npos);
  EXPECT_NE(error_of([](GgufMetadata& m) {
              m.set("tokenizer.ggml.token_type", std::vector<int64_t>(10, 6));
            }).find("byte token 0"),
            std::string::npos);
  EXPECT_NE(error_of([](GgufMetadata& m) {
              m.set("tokenizer.ggml.model", std::string("bert"));
            }).find("expected llama or gpt2"),
            std::string::npos);
}

TEST(TokenizerGguf, GivesNothingWithoutTokenizerKeys) {
  const auto tokenizer = tokenizer_from_gguf(GgufMetadata(), "file.gguf");
  ASSERT_TRUE(tokenizer.has_value());
  EXPECT_EQ(*tokenizer, nullptr);
}

}  // namespace
}  // namespace mixtral::testing
