// Calls of functions: which answers the grammar allows.
#include "grammar/grammar_support.h"

namespace mixtral::testing {
namespace {

ToolCallForm weather_form() {
  ToolCallForm form;
  form.marker = "[CALL]";
  form.functions = {
      {"now", R"({"type": "object", "additionalProperties": false})"},
      {"weather", R"({"type": "object", "properties": {"city": {"$ref": "#/$defs/city"}},
                      "required": ["city"], "$defs": {"city": {"enum": ["Paris", "Rome"]}}})"}};
  return form;
}

const std::string kNow = R"({"name": "now", "arguments": {}})";
const std::string kWeather = R"({"name": "weather", "arguments": {"city": "Rome"}})";

TEST(ToolCalls, AllowsCallsOfTheFunctionsWithTheirArguments) {
  const auto grammar = checked(Grammar::tool_calls(weather_form()));
  ASSERT_NE(grammar, nullptr);
  for (const std::string& call : {kNow, kWeather})
    EXPECT_TRUE(matches(grammar, "[CALL] [" + call + "]")) << call;
  for (const std::string text :
       {"", "Rome", "[CALL]", "[CALL] []", R"([CALL] [{"name": "then", "arguments": {}}])",
        R"([CALL] [{"name": "now", "arguments": {"city": "Rome"}}])",
        R"([CALL] [{"name": "weather", "arguments": {"city": "Oslo"}}])"})
    EXPECT_FALSE(matches(grammar, text)) << text;
}

TEST(ToolCalls, AllowsSoManyCalls) {
  ToolCallForm form = weather_form();
  const std::string two = "[CALL] [" + kNow + ", " + kWeather + "]";
  EXPECT_FALSE(matches(checked(Grammar::tool_calls(form)), two));
  form.max_calls = 2;
  const auto grammar = checked(Grammar::tool_calls(form));
  EXPECT_TRUE(matches(grammar, two));
  EXPECT_FALSE(matches(grammar, "[CALL] [" + kNow + ", " + kNow + ", " + kNow + "]"));
}

TEST(ToolCalls, AllowsTextThatDoesNotBeginWithTheMarker) {
  ToolCallForm form = weather_form();
  form.or_text = true;
  const auto grammar = checked(Grammar::tool_calls(form));
  ASSERT_NE(grammar, nullptr);
  for (const std::string text :
       {"", "Rome", "[", "[CALL", "[CALLS]", " [CALL] [", "é\n\n[CALL]", "[[CALL]"})
    EXPECT_TRUE(matches(grammar, text)) << text;
  EXPECT_TRUE(matches(grammar, "[CALL] [" + kNow + "]"));
  for (const std::string text : {"[CALL]", "[CALL] ", "[CALL] []", "[CALL] Rome", "[CALL]x"})
    EXPECT_FALSE(matches(grammar, text)) << text;
}

TEST(ToolCalls, NamesTheFunctionWhoseSchemaItRefuses) {
  ToolCallForm form = weather_form();
  form.functions.push_back({"odd", R"({"type": "object", "not": {}})"});
  const auto grammar = Grammar::tool_calls(form);
  ASSERT_FALSE(grammar.has_value());
  EXPECT_TRUE(grammar.error().message.starts_with("odd: ")) << grammar.error().message;
}

}  // namespace
}  // namespace mixtral::testing
