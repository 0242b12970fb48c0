// How long work tells whoever started it how far it is. The library never prints; apps/ draws the
// bar.
#pragma once

#include <cstdint>
#include <string_view>

namespace mixtral {

/// Receives the progress of one task at a time. Calls may come from any thread, one at a time.
class Progress {
 public:
  virtual ~Progress() = default;
  /// `total` is in `unit` ("bytes", "tokens", …); 0 means unknown.
  virtual void start(std::string_view task, uint64_t total, std::string_view unit) = 0;
  /// `done` counts from the start of the task.
  virtual void update(uint64_t done) = 0;
  virtual void finish() = 0;
};

}  // namespace mixtral
