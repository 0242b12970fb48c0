// What each keyword of JSON Schema allows and refuses. Random answers are checked against a
// validator by samples/validate_samples.py.
#include "grammar/grammar_support.h"

namespace mixtral::testing {
namespace {

struct Case {
  std::string schema;
  std::vector<std::string> good, bad;
};

void expect_cases(const std::vector<Case>& cases) {
  for (const Case& each : cases) {
    const auto grammar = checked(Grammar::json_schema(each.schema));
    ASSERT_NE(grammar, nullptr) << each.schema;
    for (const std::string& text : each.good) {
      EXPECT_TRUE(matches(grammar, text)) << each.schema << " should allow " << text;
    }
    for (const std::string& text : each.bad) {
      EXPECT_FALSE(matches(grammar, text)) << each.schema << " should not allow " << text;
    }
  }
}

TEST(JsonObject, IsAnyObject) {
  const auto grammar = checked(Grammar::json_object());
  for (const char* text :
       {"{}", "{ }", "{\n}", R"({"a":1})", R"({"a": -0.5e+3, "b": [true, false, null]})",
        R"({"é😀\n\u00e9\ud83d\ude00": {"x": {}}})", "{\n    \"a\": [\n        1\n    ]\n}"}) {
    EXPECT_TRUE(matches(grammar, text)) << text;
  }
  for (const char* text : {"",
                           "[]",
                           "1",
                           "{",
                           R"({"a"})",
                           R"({"a":})",
                           R"({"a":1,})",
                           R"({a:1})",
                           "{} ",
                           R"({"a":01})",
                           R"({"a":1.})",
                           R"({"a":+1})",
                           R"({"a":nul})",
                           "{\"a\":\"\n\"}",
                           R"({"a":"\x"})",
                           R"({"a":"\ud800"})",
                           R"({"a":"\udc00"})",
                           "{\"a\":\"\xff\"}",
                           "{\"a\":\"\xed\xa0\x80\"}",
                           "{   \"a\":1}",
                           "{\n\n\"a\":1}",
                           R"({"a" :1})"}) {
    EXPECT_FALSE(matches(grammar, text)) << text;
  }
}

TEST(JsonSchema, KnowsTypesAndValues) {
  expect_cases({
      {"true", {"1", "[]", "{\"a\":\"b\"}", "null"}, {"", "x"}},
      {"{}", {"1", "[]"}, {""}},
      {R"({"type":"null"})", {"null"}, {"0"}},
      {R"({"type":"boolean"})", {"true", "false"}, {"1", "True"}},
      {R"({"type":["string","null"],"maxLength":1})", {"\"a\"", "\"\"", "null"}, {"\"ab\"", "1"}},
      {R"({"enum":["a",1,null,{"b":[2]},"\"é\n"]})",
       {"\"a\"", "1", "null", "{\"b\":[2]}", "\"\\\"é\\n\""},
       {"\"b\"", "2"}},
      {R"({"type":"string","enum":["a",1]})", {"\"a\""}, {"1"}},
      {R"({"const":"x","type":"string","title":"T"})", {"\"x\""}, {"\"y\""}},
      {R"({"const":1,"enum":[1,2]})", {"1"}, {"2"}},
  });
}

TEST(JsonSchema, KnowsNumbers) {
  expect_cases({
      {R"({"type":"integer"})", {"0", "-7", "123456789012345"}, {"1.0", "01", "", "1e3"}},
      {R"({"type":"number"})", {"0", "-7.25", "1e-5", "3E+10"}, {".5", "1.", "--1", "1e"}},
      {R"({"type":"integer","minimum":3,"maximum":120})",
       {"3", "9", "10", "99", "100", "119", "120"},
       {"2", "0", "121", "1200", "-3", "03"}},
      {R"({"type":"integer","exclusiveMinimum":-2,"exclusiveMaximum":2})",
       {"-1", "0", "1"},
       {"-2", "2", "-0"}},
      {R"({"type":"integer","minimum":-120,"maximum":-15})",
       {"-15", "-99", "-120"},
       {"-14", "-121", "15", "0"}},
      {R"({"type":"integer","minimum":0.5,"maximum":2.5})", {"1", "2"}, {"0", "3"}},
      {R"({"type":"integer","minimum":1})", {"1", "999999999999999"}, {"0", "-1"}},
      {R"({"type":"number","minimum":0,"maximum":1})",
       {"0", "0.0", "0.5", "1", "1.0", "0.999999"},
       {"1.01", "-0.5", "2", "1e0"}},
      {R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1})",
       {"0.1", "0.000001", "0.9"},
       {"0", "1", "0.0", "1.0", "0.000000"}},
      {R"({"type":"number","minimum":-1.25,"maximum":2.5})",
       {"-1.25", "-1.2", "-1", "-0.3", "0", "1.99", "2.5", "2.50", "2.4999"},
       {"-1.26", "-1.3", "2.51", "2.6", "3", "-2"}},
      {R"({"type":"number","minimum":12.345,"maximum":12.3456})",
       {"12.345", "12.3451", "12.3456"},
       {"12.3", "12.3449", "12.34561", "13"}},
      {R"({"type":"number","multipleOf":1,"minimum":2})", {"2", "30"}, {"2.5", "1"}},
      {R"({"minimum":5})", {"5.5"}, {"4", "\"a\""}},
  });
}

TEST(JsonSchema, BoundsOfIntegersAreExact) {
  Rng rng(9);
  for (int round = 0; round < 150; ++round) {
    const int spread = round % 3 == 0 ? 20 : 2500;
    const auto draw = [&] { return static_cast<int>(rng.below(2 * spread + 1)) - spread; };
    const int a = draw(), b = draw(), low = std::min(a, b), high = std::max(a, b);
    const auto grammar = checked(Grammar::json_schema(
        fmt::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", low, high)));
    for (int value = -spread - 5; value <= spread + 5; value += spread > 20 ? 7 : 1) {
      EXPECT_EQ(matches(grammar, fmt::format("{}", value)), low <= value && value <= high)
          << low << " " << value << " " << high;
    }
  }
}

TEST(JsonSchema, KnowsStrings) {
  expect_cases({
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {"\"ab\"", "\"é😀x\"", R"("\n\u00e9")", R"("\ud83d\ude00a")"},
       {"\"a\"", "\"abcd\"", R"("\ud83d\ude00")"}},
      {R"({"type":"string","pattern":"^[A-Z]{2}-\\d+$"})", {"\"AB-1\""}, {"\"AB-\"", "\"xAB-1\""}},
      {R"({"type":"string","pattern":"b"})", {"\"b\"", "\"abc\""}, {"\"\"", "\"ac\""}},
      {R"({"type":"string","pattern":"^a|b$"})", {"\"ax\"", "\"xb\""}, {"\"xa\"", "\"bx\""}},
      {R"({"type":"string","pattern":"^[\"\\\\\\n]+$"})",
       {R"("\"\\\n")"},
       {"\"\n\"", R"("\u000a")"}},
      {R"({"type":"string","pattern":"^a{2,3}$","minLength":1,"maxLength":3})",
       {"\"aa\""},
       {"\"a\""}},
      {R"({"type":"string","format":"date"})",
       {"\"2024-02-28\""},
       {"\"2024-02-30\"", "\"2024-13-01\""}},
      {R"({"type":"string","format":"time"})",
       {"\"23:59:59Z\"", "\"01:02:03.5+01:00\""},
       {"\"24:00:00Z\""}},
      {R"({"type":"string","format":"date-time"})",
       {"\"2024-12-31T00:00:00Z\""},
       {"\"2024-12-31\""}},
      {R"({"type":"string","format":"uuid"})",
       {"\"123e4567-e89b-12d3-a456-426614174000\""},
       {"\"123e4567\""}},
      {R"({"type":"string","format":"email"})", {"\"a.b@example.org\""}, {"\"a@b\"", "\"@x.org\""}},
      {R"({"type":"string","format":"ipv4"})",
       {"\"192.168.0.1\""},
       {"\"256.0.0.1\"", "\"01.0.0.1\""}},
      {R"({"type":"string","format":"password"})", {"\"x\""}, {"1"}},
  });
}

TEST(JsonSchema, KnowsArrays) {
  expect_cases({
      {R"({"type":"array"})", {"[]", "[1, \"a\", []]"}, {"[1,]", "[,1]", "[1 2]"}},
      {R"({"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3})",
       {"[1]", "[1,2]", "[1, 2, 3]", "[\n  1\n]"},
       {"[]", "[1,2,3,4]", "[\"a\"]"}},
      {R"({"type":"array","items":{"const":1},"minItems":2})", {"[1,1]", "[1,1,1]"}, {"[1]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","items":false})", {"[]"}, {"[1]"}},
      {R"({"type":"array","prefixItems":[{"const":1},{"const":2}],"minItems":2,"maxItems":2})",
       {"[1,2]"},
       {"[1]", "[1,2,3]", "[2,1]", "[]"}},
      {R"({"type":"array","prefixItems":[{"const":1},{"const":2}],"items":{"const":3}})",
       {"[]", "[1]", "[1,2]", "[1,2,3,3]"},
       {"[2]", "[1,2,4]", "[,2]"}},
      {R"({"type":"array","prefixItems":[{"const":1}],"items":false,"minItems":1})",
       {"[1]"},
       {"[]", "[1,2]"}},
  });
}

TEST(JsonSchema, KnowsObjects) {
  expect_cases({
      {R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2}},"required":["a","b"],
           "additionalProperties":false})",
       {R"({"a":1,"b":2})", R"({ "a": 1, "b": 2 })"},
       {R"({"a":1})", R"({"b":2,"a":1})", R"({"a":1,"b":2,"c":3})", "{}", R"({"a":1 "b":2})"}},
      {R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},
           "required":["b"],"additionalProperties":false})",
       {R"({"b":2})", R"({"a":1,"b":2})", R"({"b":2,"c":3})", R"({"a":1,"b":2,"c":3})"},
       {"{}", R"({"a":1})", R"({,"b":2})", R"({"b":2,})", R"({"a":1,"c":3})"}},
      {R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2}}})",
       {"{}", R"({"a":1})", R"({"b":2})", R"({"a":1,"b":2})"},
       {R"({"x":1})"}},
      {R"({"type":"object","properties":{"a":{"const":1}},"additionalProperties":{"const":9}})",
       {"{}", R"({"a":1})", R"({"b":9})", R"({"a":1,"aa":9,"":9})"},
       {R"({"a":9})", R"({"b":1})", R"({"a":1,"a":9})", R"({"\u0061":9})"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"}})",
       {"{}", R"({"x":1,"y":2})"},
       {R"({"x":"a"})"}},
      {R"({"type":"object","additionalProperties":false})", {"{}"}, {R"({"a":1})"}},
      {R"({"type":"object","minProperties":1,"maxProperties":2})",
       {R"({"a":1})", R"({"a":1,"b":2})"},
       {"{}", R"({"a":1,"b":2,"c":3})"}},
      {R"({"type":"object","required":["x"],"properties":{"a":{"const":1}}})",
       {R"({"x":[2]})", R"({"a":1,"x":2})"},
       {"{}", R"({"a":1})"}},
      {R"({"type":"object","properties":{"a":false,"b":{"const":1}}})",
       {"{}", R"({"b":1})"},
       {R"({"a":1})"}},
      {R"({"properties":{"é\"/~":{"const":1}}})", {R"({"é\"/~":1})"}, {"1"}},
  });
}

TEST(JsonSchema, KnowsReferencesAndCombinations) {
  expect_cases({
      {R"({"$defs":{"node":{"type":"object","properties":{"v":{"const":1},
           "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"],
           "additionalProperties":false}},"$ref":"#/$defs/node"})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":1,"next":null}})"},
       {R"({"v":1})", R"({"v":1,"next":1})"}},
      {R"({"type":"object","properties":{"c":{"type":"array","items":{"$ref":"#"}}}})",
       {"{}", R"({"c":[{},{"c":[]}]})"},
       {R"({"c":[1]})"}},
      {R"({"definitions":{"a/b":{"const":1}},"$ref":"#/definitions/a~1b"})", {"1"}, {"2"}},
      {R"({"definitions":{"a b":{"const":1}},"allOf":[{"$ref":"#/definitions/a%20b"}]})",
       {"1"},
       {"2"}},
      {R"({"anyOf":[{"const":1},{"type":"string"}],"description":"d"})", {"1", "\"a\""}, {"2"}},
      {R"({"oneOf":[{"type":"integer"},{"type":"string"}]})", {"1", "\"a\""}, {"true"}},
      {R"({"oneOf":[{"$ref":"#/$defs/A"},{"$ref":"#/$defs/B"}],"discriminator":{"propertyName":"t"},
           "$defs":{"A":{"type":"object","properties":{"t":{"const":"a"}},"required":["t"]},
                    "B":{"type":"object","properties":{"t":{"enum":["b","c"]}},"required":["t"]}}})",
       {R"({"t":"a"})", R"({"t":"c"})"},
       {R"({"t":"d"})"}},
  });
}

// As openai and pydantic write it.
TEST(JsonSchema, TakesWhatParseHelpersSend) {
  const auto grammar = checked(Grammar::json_schema(R"({
    "$defs": {"Step": {"properties": {"explanation": {"title": "Explanation", "type": "string"},
        "output": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Output"}},
        "required": ["explanation", "output"], "title": "Step", "type": "object",
        "additionalProperties": false}},
    "properties": {"steps": {"items": {"$ref": "#/$defs/Step"}, "title": "Steps", "type": "array"},
        "final_answer": {"title": "Final Answer", "type": "string"}},
    "required": ["steps", "final_answer"], "title": "MathReasoning", "type": "object",
    "additionalProperties": false})"));
  EXPECT_TRUE(matches(grammar, R"({"steps": [{"explanation": "8x = -30", "output": null},
 {"explanation": "", "output": "x"}], "final_answer": "x = -3.75"})"));
  EXPECT_FALSE(matches(grammar, R"({"steps": []})"));
}

TEST(JsonSchema, RefusesWhatItCannotHoldAndNamesThePlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"1", "#: a schema is an object"},
      {"{", "schema: near byte"},
      {R"({"type":"object","properties":{"a":{"not":{}}}})", "#/properties/a/not: not supported"},
      {R"({"if":{}})", "#/if"},
      {R"({"type":"object","patternProperties":{"a":{}}})", "#/patternProperties"},
      {R"({"type":"array","uniqueItems":true})", "#/uniqueItems"},
      {R"({"type":"array","contains":{}})", "#/contains"},
      {R"({"type":"array","items":[{}]})", "#/items"},
      {R"({"type":"number","multipleOf":0.1})", "#/multipleOf"},
      {R"({"type":"number","minimum":1e30})", "#/minimum"},
      {R"({"type":"number","minimum":1,"exclusiveMinimum":0})", "#/exclusiveMinimum"},
      {R"({"type":"string","format":"iri"})", "#/format"},
      {R"x({"type":"string","pattern":"(?=a)"})x", "#/pattern: offset 2"},
      {R"({"type":"string","pattern":"a","minLength":3})", "#/minLength"},
      {R"({"type":"string","pattern":"a","maxLength":3})", "#/maxLength"},
      {R"({"type":"string","minLength":-1})", "#/minLength"},
      {R"({"type":"array","minItems":3,"maxItems":2})", "#/minItems"},
      {R"({"type":"thing"})", "#/type"},
      {R"({"$ref":"#/a"})", "#/$ref: there is no"},
      {R"({"$ref":"http://x"})", "#/$ref: not supported"},
      {R"({"$ref":"#"})", "no text matches"},
      {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "rule \"#\" begins with itself"},
      {R"({"$defs":{"a":{}},"$ref":"#/$defs/a","type":"string"})",
       "#/type: not supported: beside $ref"},
      {R"({"anyOf":[]})", "#/anyOf"},
      {R"({"anyOf":[{}],"type":"string"})", "#/type: not supported: beside anyOf"},
      {R"({"allOf":[{},{}]})", "#/allOf"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "#/oneOf"},
      {R"({"type":"string","enum":[1]})", "#/enum: no value is left"},
      {R"({"type":"object","required":["a"],"additionalProperties":false})", "#/required"},
      {R"({"type":"object","minProperties":2})", "#/minProperties"},
      {R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", "no text matches"},
      {"false", "no text matches"},
  };
  for (const auto& [schema, message] : cases) {
    const auto grammar = Grammar::json_schema(schema);
    ASSERT_FALSE(grammar.has_value()) << schema;
    EXPECT_NE(grammar.error().message.find(message), std::string::npos)
        << schema << ": " << grammar.error().message;
  }
  std::string deep;
  for (int i = 0; i < 60'000; ++i) deep += R"({"items":)";
  EXPECT_FALSE(Grammar::json_schema(deep + "{}" + std::string(60'000, '}')).has_value());
}

}  // namespace
}  // namespace mixtral::testing
