// One task of a Progress, which work on several threads can share.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>

#include "core/progress.h"

namespace mixtral {

/// Starts the task and ends it, complete or not, with its own life. `progress` may be nullptr.
/// add() may be called by several threads at once.
class ProgressTask {
 public:
  ProgressTask(Progress* progress, std::string_view task, uint64_t total,
               std::string_view unit = "bytes")
      : progress_(progress) {
    if (progress_ != nullptr) progress_->start(task, total, unit);
  }
  ~ProgressTask() {
    if (progress_ != nullptr) progress_->finish();
  }
  ProgressTask(const ProgressTask&) = delete;
  ProgressTask& operator=(const ProgressTask&) = delete;

  void add(uint64_t count) {
    if (progress_ == nullptr) return;
    const std::lock_guard lock(mutex_);
    progress_->update(done_ += count);
  }
  void operator()(uint64_t count) { add(count); }

 private:
  Progress* progress_;
  std::mutex mutex_;
  uint64_t done_ = 0;
};

}  // namespace mixtral
