// Bytes of a connection to one HTTP/1.1 or HTTP/1.0 request, whatever the pieces they come in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http_message.h"

namespace mixtral {

struct HttpLimits {
  size_t header_bytes = size_t{64} << 10;
  size_t body_bytes = size_t{32} << 20;
};

/// Why bytes are no request that can be taken, as an answer would say it.
struct HttpParseError {
  unsigned status = 400;
  std::string message;
};

/// Reads one request. Not thread-safe. Memory stays within the limits: a body that announces to be
/// longer is refused before it comes. Requests with both Content-Length and Transfer-Encoding are
/// refused, so that no proxy sees another end of them than this parser.
class HttpParser {
 public:
  explicit HttpParser(const HttpLimits& limits);
  HttpParser(HttpParser&&) noexcept;
  HttpParser& operator=(HttpParser&&) noexcept;
  ~HttpParser();

  /// Takes bytes from the front of `data` and says how many; show it the rest again with what comes
  /// next. Call it only while neither done() nor error().
  size_t feed(std::string_view data);

  bool started() const;         ///< something of the request has come
  bool head_done() const;       ///< all headers are read
  bool done() const;            ///< the whole request is read
  size_t n_body_bytes() const;  ///< read so far
  const std::optional<HttpParseError>& error() const;

  bool wants_continue() const;  ///< after head_done(): waits for a word before it sends the body
  bool keep_alive() const;      ///< after head_done(): the connection may be used again
  bool takes_chunks() const;    ///< after head_done(): HTTP/1.0 knows no chunked answers
  /// The request, without peer and id. Only when done().
  HttpRequest take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mixtral
