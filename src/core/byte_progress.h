// Counts bytes, or whatever else, for a Progress: work on several threads can share it.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>

#include "core/progress.h"

namespace mixtral {

/// One task for the time it lives. `progress` may be nullptr. add() may be called by several
/// threads at once.
class ByteProgress {
 public:
  ByteProgress(Progress* progress, std::string_view task, uint64_t total_bytes)
      : progress_(progress) {
    if (progress_ != nullptr) progress_->start(task, total_bytes, "bytes");
  }
  ~ByteProgress() {
    if (progress_ != nullptr) progress_->finish();
  }
  ByteProgress(const ByteProgress&) = delete;
  ByteProgress& operator=(const ByteProgress&) = delete;

  void add(uint64_t n_bytes) {
    if (progress_ == nullptr) return;
    const std::lock_guard lock(mutex_);
    progress_->update(done_ += n_bytes);
  }
  void operator()(uint64_t n_bytes) { add(n_bytes); }

 private:
  Progress* progress_;
  std::mutex mutex_;
  uint64_t done_ = 0;
};

}  // namespace mixtral
