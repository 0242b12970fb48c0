// Bytes written, told to whoever watches.
#pragma once

#include <cstdint>
#include <string>

#include "core/progress.h"

namespace mixtral {

/// One "writing FILE" task for the time it lives. `progress` may be nullptr.
class WriteProgress {
 public:
  WriteProgress(Progress* progress, const std::string& path, uint64_t total_bytes)
      : progress_(progress) {
    if (progress_ != nullptr) progress_->start("writing " + path, total_bytes, "bytes");
  }
  ~WriteProgress() {
    if (progress_ != nullptr) progress_->finish();
  }
  WriteProgress(const WriteProgress&) = delete;
  WriteProgress& operator=(const WriteProgress&) = delete;

  void add(uint64_t n_bytes) {
    done_ += n_bytes;
    if (progress_ != nullptr) progress_->update(done_);
  }

 private:
  Progress* progress_;
  uint64_t done_ = 0;
};

}  // namespace mixtral
