// The two ends of a Stream: the engine's thread puts events in, the caller takes them out.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

#include "engine/stream.h"

namespace mixtral {

/// Thread-safe.
class StreamState {
 public:
  /// With the last event the stream ends.
  void push(StreamEvent event, bool is_last);
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  std::optional<StreamEvent> next();
  std::optional<StreamEvent> next_until(Clock::time_point deadline);
  std::optional<StreamEvent> try_next();
  bool done() const;
  /// An empty function: nobody is told any more, and no call is under way afterwards.
  void on_ready(std::function<void()> ready);

 private:
  std::optional<StreamEvent> take();

  mutable std::mutex mutex_;
  std::condition_variable news_;
  std::deque<StreamEvent> events_;
  bool ended_ = false;  // no further event will come
  std::function<void()> ready_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace mixtral
