// A request's events on their way from the engine's thread to whoever asked.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "engine/answer.h"
#include "engine/request.h"

namespace mixtral {

class StreamState;

/// The caller's end of a running request. Its functions may be called from any thread, one at a
/// time, cancel() whenever. Letting go of it cancels the request.
class Stream {
 public:
  explicit Stream(std::shared_ptr<StreamState> state);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  /// Waits for the next event; nothing once every answer has ended (or the prompt is read, if that
  /// was all).
  std::optional<StreamEvent> next();
  /// The next event if there is one by then.
  std::optional<StreamEvent> next_until(Clock::time_point deadline);
  std::optional<StreamEvent> try_next();
  /// True once no further event will come and none waits.
  bool done() const;

  /// Ends the request within one step; its answers end with kCancelled.
  void cancel();
  /// Calls `ready` on the engine's thread whenever events wait that did not before, and once now if
  /// some wait already. It must return at once and must not call this object.
  void on_ready(std::function<void()> ready);

 private:
  std::shared_ptr<StreamState> state_;
};

}  // namespace mixtral
