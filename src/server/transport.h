// One connected socket as its connection sees it: TCP, TLS or Unix.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace mixtral {

/// All callbacks of one transport come one after another, on some thread of the server. Only post()
/// may be called from elsewhere. Callbacks hold what they need alive; after close() those that wait
/// are called with false, but for the timer's, which is dropped.
class Transport {
 public:
  virtual ~Transport() = default;

  /// One read at a time; `into` must stay. Zero bytes and false: the peer is gone.
  virtual void read_some(std::span<char> into,
                         std::function<void(bool good, size_t n_bytes)> done) = 0;
  /// Writes all of `data`, which must stay. One write at a time.
  virtual void write(std::string_view data, std::function<void(bool good)> done) = 0;
  /// Calls `due` after that time; a later call or cancel_timer() takes its place.
  virtual void start_timer(std::chrono::milliseconds after, std::function<void()> due) = 0;
  virtual void cancel_timer() = 0;
  virtual void post(std::function<void()> task) = 0;
  /// Says that no more will be sent; reading goes on.
  virtual void shut_down_sending() = 0;
  virtual void close() = 0;
  /// The peer's address, "" if it has none.
  virtual std::string peer() const = 0;
};

}  // namespace mixtral
