#include "server/http_parser.h"

#include <gtest/gtest.h>

namespace mixtral {
namespace {

// Feeds the text in pieces of `step` bytes.
HttpParser parsed(std::string_view text, size_t step, const HttpLimits& limits = {}) {
  HttpParser parser(limits);
  std::string unread;
  for (size_t at = 0; at < text.size() && !parser.done() && !parser.error(); at += step) {
    unread += text.substr(at, step);
    unread.erase(0, parser.feed(unread));
  }
  return parser;
}

TEST(HttpParser, GivesTheSameRequestWhateverThePieces) {
  const std::string_view text =
      "POST http://host/v1/x?a=b%20c#f HTTP/1.1\r\nHost: x\r\nX-Name: v\r\n"
      "Content-Length: 4\r\n\r\nbody";
  for (size_t step = 1; step <= text.size(); ++step) {
    HttpParser parser = parsed(text, step);
    ASSERT_TRUE(parser.done()) << step;
    EXPECT_TRUE(parser.keep_alive());
    const HttpRequest request = parser.take();
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/v1/x");
    EXPECT_EQ(query_value(request.query, "a"), "b c");
    EXPECT_EQ(*request.header("x-name"), "v");
    EXPECT_EQ(request.body, "body");
  }
}

TEST(HttpParser, LeavesWhatFollowsTheRequest) {
  HttpParser parser(HttpLimits{});
  const std::string_view first = "\r\nGET / HTTP/1.1\r\n\r\n";
  EXPECT_EQ(parser.feed(std::string(first) + "GET /2 HTTP/1.1\r\n\r\n"), first.size());
  EXPECT_TRUE(parser.done());
}

TEST(HttpParser, ReadsChunkedBodies) {
  HttpParser parser = parsed(
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
      1);
  ASSERT_TRUE(parser.done());
  EXPECT_EQ(parser.take().body, "abcde");
}

TEST(HttpParser, RefusesWhatTwoReadersMayReadDifferently) {
  for (const char* headers :
       {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n", "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999\r\n"}) {
    const HttpParser parser =
        parsed("POST / HTTP/1.1\r\n" + std::string(headers) + "\r\nabc", 1000);
    ASSERT_TRUE(parser.error()) << headers;
    EXPECT_GE(parser.error()->status, 400u) << headers;
  }
}

TEST(HttpParser, RefusesLongBodiesBeforeTheyCome) {
  const HttpParser parser =
      parsed("POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", 1000, {1000, 100});
  ASSERT_TRUE(parser.error());
  EXPECT_EQ(parser.error()->status, 413u);
}

TEST(HttpParser, RefusesLongChunkedBodies) {
  const std::string text = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" +
                           std::string(101, 'x') + "\r\n0\r\n\r\n";
  const HttpParser parser = parsed(text, 50, {1000, 100});
  ASSERT_TRUE(parser.error());
  EXPECT_EQ(parser.error()->status, 413u);
}

TEST(HttpParser, RefusesLongHeaders) {
  const HttpParser parser =
      parsed("GET / HTTP/1.1\r\nX: " + std::string(2000, 'x') + "\r\n\r\n", 100, {1000, 100});
  ASSERT_TRUE(parser.error());
  EXPECT_EQ(parser.error()->status, 431u);
}

TEST(PercentDecode, KnowsBrokenEncodings) {
  EXPECT_EQ(percent_decode("a%2Fb%2f"), "a/b/");
  EXPECT_FALSE(percent_decode("a%2"));
  EXPECT_FALSE(percent_decode("%zz"));
}

}  // namespace
}  // namespace mixtral
