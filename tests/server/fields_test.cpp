#include "server/fields.h"

#include <gtest/gtest.h>

#include "server/access.h"
#include "server/metrics.h"
#include "server/routing_store.h"
#include "server/sse.h"

namespace mixtral {
namespace {

TEST(Fields, TakesNullAsAbsent) {
  const Json object = {{"a", nullptr}};
  Fields fields(object);
  EXPECT_EQ(fields.number("a", 0, 1), std::nullopt);
  EXPECT_TRUE(fields.boolean("a", true));
  EXPECT_EQ(fields.find("a"), nullptr);
  EXPECT_TRUE(fields.status());
}

TEST(Fields, RemembersTheFirstMistake) {
  const Json object = {{"a", 3}, {"b", "x"}};
  Fields fields(object, "messages[0]");
  fields.number("a", 0, 2);
  fields.integer("b", 0, 2);
  ASSERT_FALSE(fields.good());
  EXPECT_EQ(fields.status().error().param, "messages[0].a");
  EXPECT_EQ(fields.status().error().message, "messages[0].a is 3, expected a number from 0 to 2");
}

TEST(Fields, ReadsWholeNumbers) {
  const Json object = {{"a", 16.0}, {"b", 16.5}, {"c", UINT64_MAX}, {"d", true}};
  for (const char* name : {"b", "c", "d"}) {
    Fields fields(object);
    EXPECT_EQ(fields.integer(name, INT64_MIN, INT64_MAX), std::nullopt) << name;
    EXPECT_FALSE(fields.good()) << name;
  }
  Fields fields(object);
  EXPECT_EQ(fields.integer("a", 0, 16), 16);
  EXPECT_EQ(fields.unknown(), (std::vector<std::string>{"b", "c", "d"}));
}

TEST(ApiErrors, ComeInBothShapes) {
  const HttpResponse response = error_response(bad_request("n", "n is {}", 0));
  EXPECT_EQ(response.status, 400u);
  const Json body = Json::parse(response.body);
  EXPECT_EQ(body["object"], "error");
  EXPECT_EQ(body["message"], "n is 0");
  EXPECT_EQ(body["error"]["param"], "n");
  EXPECT_EQ(body["error"]["code"], nullptr);
}

TEST(ApiErrors, NeverFailOverBrokenText) {
  EXPECT_NO_THROW(error_response(bad_request("n", "{}", "\xff")));
}

HttpRequest request_with(std::string name, std::string value) {
  HttpRequest request;
  request.headers = {{std::move(name), std::move(value)}};
  return request;
}

TEST(ApiKeys, AreFoundInEitherHeader) {
  const ApiKeys keys({"one", "two"});
  EXPECT_EQ(keys.find(request_with("authorization", "bearer two")), 1u);
  EXPECT_EQ(keys.find(request_with("X-API-Key", "one")), 0u);
  EXPECT_EQ(keys.find(request_with("Authorization", "Bearer on")), std::nullopt);
  EXPECT_EQ(keys.find(request_with("Authorization", "Bearer ")), std::nullopt);
  EXPECT_EQ(keys.find({}), std::nullopt);
  HttpRequest both = request_with("Authorization", "Bearer idle");
  both.headers.push_back({"x-api-key", "two"});
  EXPECT_EQ(keys.find(both), 1u);
  EXPECT_EQ(parse_api_keys(" a \r\n\n# no\nb"), (std::vector<std::string>{"a", "b"}));
}

TEST(AllowedOrigins, AreThisMachineAndThePageItself) {
  const AllowedOrigins usual;
  EXPECT_TRUE(usual.allows("http://localhost:3000", "x:8080"));
  EXPECT_TRUE(usual.allows("http://[::1]:1", "x:8080"));
  EXPECT_TRUE(usual.allows("https://x:8080", "x:8080"));
  EXPECT_FALSE(usual.allows("http://localhost.evil.example", "x:8080"));
  EXPECT_FALSE(usual.allows("null", ""));
  EXPECT_TRUE(AllowedOrigins({"*"}).allows("http://evil.example", "x"));
  EXPECT_FALSE(AllowedOrigins({"http://a"}).allows("http://localhost", "x"));
}

TEST(Sse, IsOneLineForEachEvent) { EXPECT_EQ(sse_event("{}"), "data: {}\n\n"); }

TEST(Histogram, CountsUpToEachBound) {
  Histogram histogram;
  histogram.add(0.001);
  histogram.add(0.3);
  histogram.add(1e6);
  std::string text;
  histogram.write("h", "help", text);
  EXPECT_NE(text.find("h_bucket{le=\"0.001\"} 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("h_bucket{le=\"0.5\"} 2\n"), std::string::npos);
  EXPECT_NE(text.find("h_bucket{le=\"+Inf\"} 3\n"), std::string::npos);
  EXPECT_NE(text.find("h_count 3\n"), std::string::npos);
}

TEST(RoutingStore, ForgetsTheOldestFirst) {
  RoutingStore store(1000);
  const std::vector<AnswerRouting> answer = {{0, {{1, "a", {{0, 1}, {0.5f, 0.5f}}}}}};
  for (const char* id : {"a", "b", "c", "d", "e", "f", "g", "h"}) store.add(id, answer);
  EXPECT_EQ(store.find("a"), nullptr);
  ASSERT_NE(store.find("h"), nullptr);
  const Json json = routing_json(*store.find("h"), {1, 4, 2}, {});
  EXPECT_EQ(json["choices"][0]["tokens"][0]["expert_ids"], Json::parse("[[0, 1]]"));
}

}  // namespace
}  // namespace mixtral
