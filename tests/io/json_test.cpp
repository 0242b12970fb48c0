#include "io/json.h"

#include "io/bytes.h"
#include "support/golden.h"

namespace mixtral {
namespace {

using testing::expect_error;

TEST(ParseJson, KeepsValuesAndTheOrderOfKeys) {
  const auto json = parse_json(R"({"b": [1, -2, 2.5, true, null, "text"], "a": {"c": {}}})", "x");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->dump(), R"({"b":[1,-2,2.5,true,null,"text"],"a":{"c":{}}})");
  EXPECT_EQ(parse_json("7", "x")->get<int>(), 7);
}

TEST(ParseJson, NamesPlaceAndByteOfWhatIsNoJson) {
  for (const std::string text : {"", "{", "[1,]", "{\"a\" 1}", "tru", "\"\x01\"", "\"\xFF\"",
                                 "1e999", "[1] 2", "\"\\ud800\"", "{\"a\": NaN}", "// no\n1"}) {
    const auto json = parse_json(text, "config.json");
    ASSERT_FALSE(json) << text;
    expect_error(json.error(), ErrorCode::kBadInput, {"config.json: near byte ", "not JSON"});
  }
  const auto late = parse_json("[1, 2, 3, x]", "config.json");
  ASSERT_FALSE(late);
  expect_error(late.error(), ErrorCode::kBadInput, {"near byte 11"});
}

TEST(ParseJson, RefusesDuplicateKeysAtEveryDepth) {
  const auto json = parse_json(R"({"a": [{"key": 1, "other": 2, "key": 3}]})", "x");
  ASSERT_FALSE(json);
  expect_error(json.error(), ErrorCode::kBadInput, {"x: near byte", "\"key\"", "twice"});
  EXPECT_TRUE(parse_json(R"({"a": {"a": 1}, "b": {"a": 1}})", "x"));
}

TEST(ParseJson, RefusesDeepNesting) {
  const auto nested = [](size_t depth, const std::string& open, const std::string& close) {
    std::string text;
    for (size_t i = 0; i < depth; ++i) text += open;
    text += "1";
    for (size_t i = 0; i < depth; ++i) text += close;
    return text;
  };
  EXPECT_TRUE(parse_json(nested(64, "[", "]"), "x"));
  const auto arrays = parse_json(nested(65, "[", "]"), "x");
  ASSERT_FALSE(arrays);
  expect_error(arrays.error(), ErrorCode::kBadInput, {"deeper than 64"});
  EXPECT_FALSE(parse_json(nested(100'000, "{\"a\":", "}"), "x"));
  EXPECT_FALSE(parse_json(std::string(1'000'000, '['), "x"));
}

TEST(ParseJson, RefusesMoreValuesThanFitIntoMemoryCheaply) {
  std::string text = "[1";
  for (size_t i = 0; i < 4'200'000; ++i) text += ",1";
  const auto json = parse_json(text + "]", "x");
  ASSERT_FALSE(json);
  expect_error(json.error(), ErrorCode::kTooLarge, {"more than 4194304 values"});
}

TEST(ParseJson, TakesLargeObjectsInLinearTime) {
  std::string text = "{\"first\": 0";
  for (size_t i = 0; i < 100'000; ++i) text += fmt::format(", \"{}\": {}", i, i);
  const auto json = parse_json(text + "}", "x");
  ASSERT_TRUE(json);
  EXPECT_EQ(json->size(), 100'001u);
}

TEST(ReadJsonFile, NamesTheFileAndHoldsTheLimit) {
  const testing::TemporaryFolder folder;
  testing::write_bytes(folder.file("a.json"), "{\"a\": ?}");
  const auto json = read_json_file(folder.file("a.json"), 100);
  ASSERT_FALSE(json);
  expect_error(json.error(), ErrorCode::kBadInput, {folder.file("a.json"), "near byte 7"});
  EXPECT_EQ(read_json_file(folder.file("a.json"), 3).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(read_json_file(folder.file("b.json"), 3).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace mixtral
