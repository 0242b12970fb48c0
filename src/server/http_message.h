// HTTP requests and answers as plain data, without a word about sockets.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mixtral {

struct HttpHeader {
  std::string name, value;
};

struct HttpRequest {
  std::string method;  ///< "GET", as the client wrote it
  std::string path;    ///< up to "?", still percent-encoded
  std::string query;   ///< after "?"
  std::vector<HttpHeader> headers;
  std::string body;
  std::string peer;  ///< the client's address, "" over a Unix socket
  std::string id;    ///< goes back as x-request-id

  /// The first header of that name, in any case; nullptr if there is none.
  const std::string* header(std::string_view name) const;
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::vector<HttpHeader> headers;
  std::string body;
};

/// "Not Found" for 404.
std::string_view reason_phrase(unsigned status);

bool equal_ignoring_case(std::string_view a, std::string_view b);

/// The text that a percent-encoded one stands for; nullopt for broken encodings.
std::optional<std::string> percent_decode(std::string_view text);
/// The value of a query's parameter, decoded; nullopt if it is not there.
std::optional<std::string> query_value(std::string_view query, std::string_view name);

/// How the end of a body is told.
enum class BodyFraming { kLength, kChunked, kClose };

/// Status line and headers with the empty line after them.
std::string response_head(const HttpResponse& response, BodyFraming framing, bool keep_alive);
/// One chunk of a chunked body; of an empty text nothing, which would end the body.
std::string chunk_of(std::string_view data);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace mixtral
