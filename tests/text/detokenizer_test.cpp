#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include "text/text_support.h"
#include "text/utf8.h"

namespace mixtral::testing {
namespace {

bool is_whole_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Character character = first_utf8_character(text);
    if (character.kind != Utf8Character::Kind::kValid) return false;
    text.remove_prefix(character.size);
  }
  return true;
}

TEST(Utf8, TellsValidBrokenAndIncompleteApart) {
  using Kind = Utf8Character::Kind;
  const auto expect = [](std::string_view bytes, Kind kind, size_t size) {
    const Utf8Character character = first_utf8_character(bytes);
    EXPECT_EQ(character.kind, kind) << bytes;
    EXPECT_EQ(character.size, size) << bytes;
  };
  expect("a", Kind::kValid, 1);
  expect("é", Kind::kValid, 2);
  expect("日x", Kind::kValid, 3);
  expect("🙂", Kind::kValid, 4);
  expect("\xe6\x97", Kind::kIncomplete, 2);
  expect("\xf0\x9f\x99", Kind::kIncomplete, 3);
  expect("\xe6\x97x", Kind::kBroken, 2);
  expect("\x80", Kind::kBroken, 1);
  expect("\xc0\x80", Kind::kBroken, 1);
  expect("\xe0\x80\x80", Kind::kBroken, 1);
  expect("\xed\xa0\x80", Kind::kBroken, 1);
  expect("\xf4\x90\x80\x80", Kind::kBroken, 1);
  std::string text;
  for (const char32_t c : {U'a', U'é', U'日', U'🙂', char32_t{0x10FFFF}}) append_utf8(c, text);
  EXPECT_EQ(text, "aé日🙂\xf4\x8f\xbf\xbf");
}

TEST(Detokenizer, StreamsWholeCharactersThatMakeUpTheDecode) {
  for (const char* file : {"tokenizer/tokenizer.model", "smollm2/tokenizer.json"}) {
    MIXTRAL_FIND_GOLDEN(path, file);
    const auto tokenizer = checked(Tokenizer::load(path));
    ASSERT_NE(tokenizer, nullptr);
    MIXTRAL_FIND_GOLDEN(lines, "tokenizer/decode.jsonl");
    for (const auto& line : read_lines(lines)) {
      const auto ids = line["ids"].get<Ids>();
      Detokenizer detokenizer(*tokenizer, tokenizer->adds_space_prefix());
      std::string text;
      for (const int32_t id : ids) {
        const std::string part = detokenizer.push(id);
        EXPECT_TRUE(is_whole_utf8(part));
        text += part;
      }
      text += detokenizer.finish();
      EXPECT_EQ(text, tokenizer->decode(ids));
    }
  }
}

TEST(Detokenizer, HoldsACharacterBackUntilItsLastByte) {
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/tokenizer.model");
  const auto tokenizer = checked(Tokenizer::load(path));
  Detokenizer detokenizer(*tokenizer, true);
  EXPECT_EQ(detokenizer.push(3 + 0xF0), "");
  EXPECT_EQ(detokenizer.push(3 + 0x9F), "");
  EXPECT_EQ(detokenizer.push(3 + 0x99), "");
  EXPECT_EQ(detokenizer.push(3 + 0x82), "🙂");
  EXPECT_EQ(detokenizer.push(3 + 0xF0), "");
  EXPECT_EQ(detokenizer.push(22557), "\xef\xbf\xbd Hello");
  EXPECT_EQ(detokenizer.push(3 + 0xE2), "");
  EXPECT_EQ(detokenizer.push(3 + 0x82), "");
  EXPECT_EQ(detokenizer.finish(), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, StripsTheLeadingSpaceOnlyWhenAsked) {
  MIXTRAL_FIND_GOLDEN(path, "tokenizer/tokenizer.model");
  const auto tokenizer = checked(Tokenizer::load(path));
  Detokenizer strips(*tokenizer, true);
  EXPECT_EQ(strips.push(1), "");
  EXPECT_EQ(strips.push(22557), "Hello");
  EXPECT_EQ(strips.push(22557), " Hello");
  Detokenizer keeps(*tokenizer, false);
  EXPECT_EQ(keeps.push(22557), " Hello");
}

}  // namespace
}  // namespace mixtral::testing
