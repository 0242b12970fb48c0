// A plain HTTP client for a server nearby: `mixtral chat --server` and `mixtral load-test`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/function_ref.h"
#include "core/result.h"
#include "io/json.h"

namespace mixtral {

struct ServerUrl {
  std::string host, port, path;  ///< path: "" or "/llm"
};
/// http://HOST:PORT/PATH. Fails for anything else; https is not supported.
Result<ServerUrl> parse_server_url(const std::string& url);

struct HttpCall {
  ServerUrl server;
  std::string method = "POST";
  std::string path;
  std::string body;
  std::string key;  ///< empty: none
};

/// One request on a connection of its own; waits for all of the answer. `on_data` gets the body of
/// a good answer as it comes, and ends the call by returning false. Gives the status, and
/// the body of an answer that is not good. Thread-safe.
struct HttpReply {
  unsigned status = 0;
  std::string error_body;
};
Result<HttpReply> call_server(const HttpCall& call, FunctionRef<bool(std::string_view)> on_data);

/// The JSON of an answer, or what the server said was wrong.
Result<Json> call_server_json(const HttpCall& call);

/// Server-sent events out of a body that comes in pieces.
class EventReader {
 public:
  /// Calls `on_event` with the JSON of each whole event; false if it wants no more.
  bool push(std::string_view data, FunctionRef<bool(const Json& event)> on_event);
  bool done() const { return done_; }  ///< "[DONE]" has come

 private:
  std::string pending_;
  bool done_ = false;
};

/// The message of an error body, or the body.
std::string message_of(const HttpReply& reply);

}  // namespace mixtral
