// One request being answered: where its handler sends the answer.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "server/http_message.h"

namespace mixtral {

/// Everything but post() is called on the exchange's own thread: inside the handler, in posted
/// tasks and in the callback of on_closed(). Either send() once, or begin_stream(), any number of
/// write() and end_stream(). What comes after the end, or after the client is gone, is ignored.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual void send(HttpResponse response) = 0;

  /// Sends status and headers. `ping` is written whenever nothing else was for a while; a client
  /// that does not read what piles up counts as gone.
  virtual void begin_stream(HttpResponse head, std::string_view ping) = 0;
  virtual void write(std::string_view data) = 0;
  virtual void end_stream() = 0;

  /// `closed` is called once if the client leaves before the end, and dropped at the end.
  virtual void on_closed(std::function<void()> closed) = 0;

  /// From any thread: calls `task` on the exchange's own.
  virtual void post(std::function<void()> task) = 0;
};

/// Answers a request at once or later; holds on to the exchange until then.
using HttpHandler = std::function<void(HttpRequest request, std::shared_ptr<Exchange> exchange)>;

}  // namespace mixtral
