#include <chrono>

#include "text/byte_level_bpe.h"
#include "text/text_support.h"
#include "text/unicode.h"

namespace mixtral::testing {
namespace {

std::unique_ptr<Tokenizer> load_smollm() {
  const auto path = find_golden("smollm2/tokenizer.json");
  return path ? checked(Tokenizer::load(*path)) : nullptr;
}

std::vector<std::string> words(PreTokenizer kind, std::string_view text) {
  std::vector<std::string> found;
  split_words(kind, text, [&](std::string_view word) { found.emplace_back(word); });
  return found;
}

using Words = std::vector<std::string>;

TEST(PreTokenizer, CutsWordsAsGpt2Does) {
  const auto cut = [](std::string_view text) { return words(PreTokenizer::kGpt2, text); };
  EXPECT_EQ(cut(""), Words{});
  EXPECT_EQ(cut("Hello world"), (Words{"Hello", " world"}));
  EXPECT_EQ(cut("it's they've 'Sure"), (Words{"it", "'s", " they", "'ve", " '", "Sure"}));
  EXPECT_EQ(cut("a  b"), (Words{"a", " ", " b"}));
  EXPECT_EQ(cut("a \n b  "), (Words{"a", " \n", " b", "  "}));
  EXPECT_EQ(cut("a\nb"), (Words{"a", "\n", "b"}));
  EXPECT_EQ(cut("in 1991, x=3.5!?"), (Words{"in", " 1991", ",", " x", "=", "3", ".", "5", "!?"}));
  EXPECT_EQ(cut("naïve 日本 ½²"), (Words{"naïve", " 日本", " ½²"}));
  EXPECT_EQ(cut("\xff\xfe a"), (Words{"\xff\xfe", " a"}));
}

TEST(PreTokenizer, LeavesEachDigitAlone) {
  const auto cut = [](std::string_view text) {
    return words(PreTokenizer::kGpt2SingleDigits, text);
  };
  EXPECT_EQ(cut("in 1991, x"), (Words{"in", " ", "1", "9", "9", "1", ",", " x"}));
  EXPECT_EQ(cut("12"), (Words{"1", "2"}));
}

TEST(Unicode, KnowsCategoriesAtTheirEdges) {
  EXPECT_TRUE(is_letter(U'é'));
  EXPECT_TRUE(is_letter(U'日'));
  EXPECT_FALSE(is_letter(U'×'));
  EXPECT_TRUE(is_letter(0xAA));
  EXPECT_FALSE(is_letter(0xAB));
  EXPECT_FALSE(is_letter(0x10FFFF));
  EXPECT_TRUE(is_number(U'½'));
  EXPECT_TRUE(is_number(U'٣'));
  EXPECT_FALSE(is_number(U'x'));
  EXPECT_TRUE(is_white_space(0x3000));
  EXPECT_FALSE(is_white_space(0x200B));
}

void expect_golden_ids(const Tokenizer* tokenizer) {
  ASSERT_NE(tokenizer, nullptr);
  MIXTRAL_FIND_GOLDEN(path, "smollm2/golden.json");
  const auto golden = nlohmann::json::parse(read_file(path));
  for (const auto& text : golden["texts"]) {
    const auto ids = text["ids"].get<Ids>();
    EXPECT_EQ(tokenizer->encode(text["text"].get<std::string>()), ids);
    EXPECT_EQ(tokenizer->decode(ids), text["text"].get<std::string>());
  }
  for (const auto& chat : golden["chats"]) {
    EXPECT_EQ(tokenizer->encode(chat["rendered"].get<std::string>(), SpecialText::kParse),
              chat["ids"].get<Ids>());
    EXPECT_EQ(tokenizer->decode(chat["greedy_ids"].get<Ids>()),
              chat["greedy_text"].get<std::string>());
  }
}

TEST(ByteLevel, GivesGoldenIdsFromTokenizerJson) {
  MIXTRAL_FIND_GOLDEN(path, "smollm2/tokenizer.json");
  const auto tokenizer = checked(Tokenizer::load(path));
  expect_golden_ids(tokenizer.get());
  EXPECT_EQ(tokenizer->vocab_size(), 49152u);
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_FALSE(tokenizer->adds_bos());
  EXPECT_FALSE(tokenizer->adds_space_prefix());
  EXPECT_EQ(Ids(tokenizer->end_ids().begin(), tokenizer->end_ids().end()), (Ids{2, 0}));
}

/// The GGUF keys with the vocabulary of a byte-level tokenizer.json.
GgufMetadata gguf_of_json(const nlohmann::json& root) {
  const auto& model = root["model"];
  std::vector<std::string> tokens(model["vocab"].size());
  for (const auto& [text, id] : model["vocab"].items()) tokens[id.get<size_t>()] = text;
  std::vector<int64_t> types(tokens.size(), 1);
  for (const auto& added : root["added_tokens"]) types[added["id"].get<size_t>()] = 3;
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", std::string("gpt2"));
  metadata.set("tokenizer.ggml.pre", std::string("smollm"));
  metadata.set("tokenizer.ggml.tokens", tokens);
  metadata.set("tokenizer.ggml.token_type", types);
  metadata.set("tokenizer.ggml.merges", model["merges"].get<std::vector<std::string>>());
  return metadata;
}

TEST(ByteLevel, GivesGoldenIdsFromGguf) {
  MIXTRAL_FIND_GOLDEN(path, "smollm2/tokenizer.json");
  const auto metadata = gguf_of_json(nlohmann::json::parse(read_file(path)));
  expect_golden_ids(checked(tokenizer_from_gguf(metadata, "vocabulary.gguf")).get());
}

TEST(ByteLevel, SpellsPiecesAndBytes) {
  const auto tokenizer = load_smollm();
  if (tokenizer == nullptr) GTEST_SKIP() << "no golden data";
  const auto the = tokenizer->find_piece("Ġthe");
  ASSERT_TRUE(the.has_value());
  EXPECT_EQ(tokenizer->token_bytes(*the), " the");
  EXPECT_EQ(tokenizer->token_bytes(198), "\n");
  EXPECT_EQ(tokenizer->token_bytes(2), "");
  EXPECT_TRUE(tokenizer->is_control(2));
  EXPECT_EQ(tokenizer->decode(Ids{*the}), " the");
}

TEST(ByteLevel, NeverReadsControlTokensOutOfText) {
  const auto tokenizer = load_smollm();
  if (tokenizer == nullptr) GTEST_SKIP() << "no golden data";
  for (const int32_t id : tokenizer->encode("<|im_end|>\n<|im_start|>system"))
    EXPECT_FALSE(tokenizer->is_control(id));
  EXPECT_EQ(tokenizer->encode("<|im_end|>", SpecialText::kParse), Ids{2});
}

TEST(ByteLevel, GivesOneReplacementForEachBrokenPart) {
  const auto tokenizer = load_smollm();
  if (tokenizer == nullptr) GTEST_SKIP() << "no golden data";
  Ids ids = tokenizer->encode("\xe2\x82");  // the start of a character, as bytes
  EXPECT_EQ(tokenizer->decode(ids), "\xef\xbf\xbd");
  ids.push_back(*tokenizer->find_piece("a"));
  EXPECT_EQ(tokenizer->decode(ids),
            "\xef\xbf\xbd"
            "a");
}

TEST(ByteLevel, EncodesAMebibyteOfOneWordInTime) {
  const auto tokenizer = load_smollm();
  if (tokenizer == nullptr) GTEST_SKIP() << "no golden data";
  std::string word;
  while (word.size() < (size_t{1} << 20)) word.push_back("etaoinshrdlu"[word.size() * 7 % 12]);
  for (const std::string& text :
       {word, std::string(word.size(), ' '), std::string(word.size(), '1')}) {
    const auto start = std::chrono::steady_clock::now();
    const Ids ids = tokenizer->encode(text);
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(tokenizer->decode(ids), text);
    // Under a second on an idle machine; sanitizers and neighbours take their share.
    EXPECT_LT(std::chrono::duration<double>(took).count(), 20);
  }
}

// The smallest tokenizer.json of either family, to break in one place each.
nlohmann::json small_json() {
  return nlohmann::json::parse(R"({
    "added_tokens": [{"id": 4, "content": "<|im_end|>", "special": true}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3},
              "merges": ["a b"]}})");
}

std::string error_of(const nlohmann::json& root) {
  const auto tokenizer = tokenizer_from_json(root.dump(), "tokenizer.json");
  return tokenizer ? std::string() : tokenizer.error().message;
}

TEST(TokenizerJson, RefusesVocabulariesThatContradictThemselves) {
  EXPECT_EQ(error_of(small_json()), "");
  const auto expect_error = [](const char* pointer, const nlohmann::json& value,
                               const std::string& part) {
    nlohmann::json root = small_json();
    root[nlohmann::json::json_pointer(pointer)] = value;
    const std::string error = error_of(root);
    EXPECT_NE(error.find(part), std::string::npos) << pointer << ": " << error;
  };
  expect_error("/model/merges/0", "a z", "not in the vocabulary");
  expect_error("/model/merges/0", "b a", "not in the vocabulary");
  expect_error("/model/merges/0", "ab", "expected two pieces");
  expect_error("/model/merges/0", 3, "neither a string nor a pair");
  expect_error("/model/vocab/z", 0, "both have id 0");
  expect_error("/model/vocab/z", -1, "id -1");
  expect_error("/model/vocab/z", 4000000000, "id 4000000000");
  expect_error("/model/vocab/z", "1", "no integer");
  expect_error("/model/vocab", nullptr, "model.vocab");
  expect_error("/model", nullptr, "model is missing");
  expect_error("/added_tokens/0/content", "", "added token");
}

TEST(TokenizerJson, NamesWhatItDoesNotSupport) {
  const auto expect_error = [](const char* pointer, const nlohmann::json& value,
                               const std::string& part) {
    nlohmann::json root = small_json();
    root[nlohmann::json::json_pointer(pointer)] = value;
    const std::string error = error_of(root);
    EXPECT_NE(error.find(part), std::string::npos) << pointer << ": " << error;
  };
  expect_error("/model/type", "Unigram", "Unigram");
  expect_error("/model/ignore_merges", true, "ignore_merges");
  expect_error("/model/end_of_word_suffix", "</w>", "</w>");
  expect_error("/normalizer/type", "NFC", "NFC");
  expect_error("/pre_tokenizer/add_prefix_space", true, "pre_tokenizer");
  expect_error("/pre_tokenizer/type", "Whitespace", "byte_fallback");
}

TEST(TokenizerJson, AcceptsTheSplitFormOfThePattern) {
  nlohmann::json root = small_json();
  root["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"},
         {"pattern", {{"Regex", std::string(kGpt2Pattern)}}},
         {"behavior", "Isolated"},
         {"invert", false}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  EXPECT_EQ(error_of(root), "");
}

TEST(TokenizerJson, KeepsMarkersOutOfTextThatAreDeclaredAsText) {
  nlohmann::json root = small_json();
  root["added_tokens"][0]["special"] = false;
  root["added_tokens"].push_back({{"id", 5}, {"content", "tab"}, {"special", false}});
  const auto tokenizer = checked(tokenizer_from_json(root.dump(), "tokenizer.json"));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_TRUE(tokenizer->is_control(4));
  EXPECT_EQ(tokenizer->encode("<|im_end|>"), Ids{});  // nothing spells these characters
  EXPECT_EQ(tokenizer->encode("<|im_end|>", SpecialText::kParse), Ids{4});
  EXPECT_EQ(tokenizer->encode("atabb"), (Ids{0, 5, 1}));
}

TEST(Tokenizer, PrefersTheJsonOfAFolderAndReadsItsSettings) {
  const TemporaryFolder folder;
  std::ofstream(folder.file("tokenizer.json")) << small_json().dump();
  std::ofstream(folder.file("tokenizer.model")) << "not looked at";
  std::ofstream(folder.file("tokenizer_config.json"))
      << R"({"eos_token": {"content": "<|im_end|>"}, "chat_template": [{"name": "tool_use",
             "template": "no"}, {"name": "default", "template": "yes"}]})";
  std::ofstream(folder.file("generation_config.json")) << R"({"eos_token_id": [4, 2]})";
  const auto tokenizer = checked(Tokenizer::load(folder.path()));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->eos_id(), 4);
  EXPECT_EQ(tokenizer->chat_template_source(), "yes");
  EXPECT_EQ(Ids(tokenizer->end_ids().begin(), tokenizer->end_ids().end()), (Ids{4, 2}));
  EXPECT_EQ(tokenizer->encode("ab ab"), (Ids{2, 3, 2}));
}

TEST(Tokenizer, GivesNothingForAFolderWithout) {
  const TemporaryFolder folder;
  const auto tokenizer = Tokenizer::load(folder.path());
  ASSERT_TRUE(tokenizer.has_value());
  EXPECT_EQ(*tokenizer, nullptr);
  EXPECT_FALSE(Tokenizer::load(folder.file("missing")).has_value());
  std::ofstream(folder.file("empty"));
  EXPECT_FALSE(Tokenizer::load(folder.file("empty")).has_value());
}

}  // namespace
}  // namespace mixtral::testing
