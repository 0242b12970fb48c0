#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "convert/gguf_tokenizer.h"
#include "convert/huggingface_tokenizer.h"
#include "convert/synthetic_vocabulary.h"
#include "convert/tokenizer_json.h"
#include "io/json.h"
#include "model_files.h"
#include "support/golden.h"
#include "support/tiny_checkpoint.h"
#include "text/tokenizer_formats.h"

namespace mixtral::testing {
namespace {

/// The tokenizer of a GGUF file with this metadata.
std::unique_ptr<Tokenizer> of_metadata(const GgufMetadata& metadata) {
  auto tokenizer = tokenizer_from_gguf(metadata, "test");
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return std::move(tokenizer).value();
}

/// The tokenizer of the folder that a model with this metadata would be written to.
std::unique_ptr<Tokenizer> through_folder(const GgufMetadata& metadata,
                                          const TemporaryFolder& temporary) {
  ModelSource model;
  model.metadata = metadata;
  const auto files = huggingface_tokenizer_files(model);
  EXPECT_TRUE(files) << files.error().message;
  for (const auto& [name, text] : *files) write_text(temporary.file(name), text);
  auto tokenizer = Tokenizer::load(temporary.path());
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return std::move(tokenizer).value();
}

void expect_same_traits(const Tokenizer& a, const Tokenizer& b) {
  EXPECT_EQ(a.vocab_size(), b.vocab_size());
  EXPECT_EQ(a.bos_id(), b.bos_id());
  EXPECT_EQ(a.eos_id(), b.eos_id());
  EXPECT_EQ(a.unk_id(), b.unk_id());
  EXPECT_EQ(a.adds_bos(), b.adds_bos());
  EXPECT_EQ(a.adds_space_prefix(), b.adds_space_prefix());
  EXPECT_EQ(a.chat_template_source(), b.chat_template_source());
  for (size_t i = 0; i < a.vocab_size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    ASSERT_EQ(a.piece(id), b.piece(id));
    ASSERT_EQ(a.is_control(id), b.is_control(id)) << a.piece(id);
  }
}

std::vector<std::string> golden_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> texts;
  for (std::string line; std::getline(file, line);)
    texts.push_back(Json::parse(line)["text"].get<std::string>());
  return texts;
}

const std::vector<std::string> kTexts = {
    "Hello my name is",
    "  two spaces, 1234567 digits and\n\n\ttabs; it's we'll they've",
    "naïve Zürich 東京 😀 <s> </s> [INST]",
    "for (int i = 0; i < 10; ++i) total += price[i] * 0x1F;",
    "",
    " ",
};

TEST(TokenizerConversion, SentencePieceModelToMetadataKeepsEveryId) {
  MIXTRAL_FIND_GOLDEN(lines, "tokenizer/encode.jsonl");
  MIXTRAL_FIND_GOLDEN(model, "tokenizer/tokenizer.model");
  const TemporaryFolder temporary;
  std::filesystem::copy(model, temporary.file("tokenizer.model"));
  GgufMetadata metadata;
  ASSERT_TRUE(add_tokenizer_metadata(temporary.path(), 32000, metadata));
  const auto original = Tokenizer::load(model);
  const auto converted = of_metadata(metadata);
  ASSERT_TRUE(original);
  expect_same_traits(**original, *converted);
  for (const std::string& text : golden_lines(lines))
    EXPECT_EQ(converted->encode(text), (*original)->encode(text)) << text;
}

TEST(TokenizerConversion, SentencePieceThroughTokenizerJsonAndBackKeepsEveryId) {
  MIXTRAL_FIND_GOLDEN(lines, "tokenizer/encode.jsonl");
  MIXTRAL_FIND_GOLDEN(model, "tokenizer/tokenizer.model");
  const TemporaryFolder in, out;
  std::filesystem::copy(model, in.file("tokenizer.model"));
  GgufMetadata metadata, back;
  ASSERT_TRUE(add_tokenizer_metadata(in.path(), 32000, metadata));
  const auto original = Tokenizer::load(model);
  ASSERT_TRUE(original);
  const auto as_json = through_folder(metadata, out);
  expect_same_traits(**original, *as_json);
  ASSERT_TRUE(add_tokenizer_metadata(out.path(), 32000, back));
  const auto again = of_metadata(back);
  for (const std::string& text : golden_lines(lines)) {
    EXPECT_EQ(as_json->encode(text), (*original)->encode(text)) << text;
    EXPECT_EQ(again->encode(text), (*original)->encode(text)) << text;
  }
}

TEST(TokenizerConversion, ByteLevelThroughMetadataAndBackKeepsEveryId) {
  MIXTRAL_FIND_GOLDEN(json, "smollm2/tokenizer.json");
  const std::string folder = std::filesystem::path(json).parent_path().string();
  GgufMetadata metadata;
  const Status status = add_tokenizer_metadata(folder, 49152, metadata);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(metadata.get_string("tokenizer.ggml.pre").value(), "smollm");
  const auto original = Tokenizer::load(folder);
  ASSERT_TRUE(original) << original.error().message;
  const TemporaryFolder temporary;
  const auto in_gguf = of_metadata(metadata), back = through_folder(metadata, temporary);
  expect_same_traits(**original, *in_gguf);
  expect_same_traits(**original, *back);
  for (const std::string& text : kTexts) {
    const auto expected = (*original)->encode(text, SpecialText::kParse);
    EXPECT_EQ(in_gguf->encode(text, SpecialText::kParse), expected) << text;
    EXPECT_EQ(back->encode(text, SpecialText::kParse), expected) << text;
  }
}

TEST(TokenizerConversion, FillsUpToTheModelsVocabulary) {
  MIXTRAL_FIND_GOLDEN(model, "tokenizer/tokenizer.model");
  const TemporaryFolder temporary;
  std::filesystem::copy(model, temporary.file("tokenizer.model"));
  GgufMetadata metadata;
  ASSERT_TRUE(add_tokenizer_metadata(temporary.path(), 32008, metadata));
  const auto tokenizer = of_metadata(metadata);
  EXPECT_EQ(tokenizer->vocab_size(), 32008u);
  EXPECT_EQ(tokenizer->piece(32007), "[PAD32007]");
  EXPECT_EQ(tokenizer->encode("[PAD32007]").size() > 1, true);

  const Status refused = add_tokenizer_metadata(temporary.path(), 31999, metadata);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("the tokenizer has 32000 pieces, expected at most 31999"),
            std::string::npos);
}

TEST(TokenizerConversion, AFolderWithoutTokenizerAddsNothing) {
  const TemporaryFolder temporary;
  GgufMetadata metadata;
  ASSERT_TRUE(add_tokenizer_metadata(temporary.path(), 100, metadata));
  EXPECT_TRUE(metadata.items().empty());
}

TEST(TokenizerConversion, KeepsTheWeightsOfAModelWhoseTokenizerItDoesNotKnow) {
  const TemporaryFolder temporary;
  const std::string in = temporary.file("in"), gguf = temporary.file("out.gguf");
  std::filesystem::create_directory(in);
  TinyCheckpoint::mixtral().write(in);
  write_text(in + "/tokenizer.json", R"({"model": {"type": "Unigram", "vocab": []}})");
  const auto to_gguf = convert_to(in, gguf);
  ASSERT_TRUE(to_gguf) << to_gguf.error().message;
  ASSERT_EQ(to_gguf->notes.size(), 1u);
  EXPECT_NE(to_gguf->notes[0].find("no tokenizer was written"), std::string::npos);
  EXPECT_EQ(open_model(gguf).metadata().find("tokenizer.ggml.model"), nullptr);
  const auto to_folder = convert_to(in, temporary.file("out"));  // which takes the file as it is
  ASSERT_TRUE(to_folder) << to_folder.error().message;
  EXPECT_TRUE(to_folder->notes.empty());
  EXPECT_TRUE(std::filesystem::exists(temporary.file("out") + "/tokenizer.json"));
}

TEST(SyntheticVocabulary, TokenisesAnyTextAndGivesItBack) {
  for (const size_t size : {kMinSyntheticPieces, size_t{2000}, size_t{32000}}) {
    GgufMetadata metadata;
    ASSERT_TRUE(add_synthetic_vocabulary(size, metadata));
    const auto tokenizer = of_metadata(metadata);
    EXPECT_EQ(tokenizer->vocab_size(), size);
    for (const std::string& text : kTexts)
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST(SyntheticVocabulary, MergesWordsIntoPieces) {
  GgufMetadata metadata;
  ASSERT_TRUE(add_synthetic_vocabulary(32000, metadata));
  const std::string text = "the lighthouse stood at the end of a long stone pier";
  EXPECT_LT(of_metadata(metadata)->encode(text).size(), text.size() / 2);
}

TEST(SyntheticVocabulary, RefusesSizesItCannotMake) {
  GgufMetadata metadata;
  EXPECT_FALSE(add_synthetic_vocabulary(kMinSyntheticPieces - 1, metadata));
  EXPECT_FALSE(add_synthetic_vocabulary(kMaxSyntheticPieces + 1, metadata));
}

}  // namespace
}  // namespace mixtral::testing
