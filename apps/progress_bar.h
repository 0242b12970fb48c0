// Progress on standard error: a bar that redraws itself on a terminal, plain lines otherwise.
#pragma once

#include <chrono>
#include <string>

#include "core/progress.h"

namespace mixtral {

/// The bar disappears when its task ends. Away from a terminal a line tells the start and the end
/// of every task that takes longer than a second, how far a long one is, and where one stopped that
/// did not get to its end.
class ProgressBar : public Progress {
 public:
  ProgressBar();
  ~ProgressBar() override;

  void start(std::string_view task, uint64_t total, std::string_view unit) override;
  void update(uint64_t done) override;
  void finish() override;

 private:
  using Clock = std::chrono::steady_clock;
  std::string amount(uint64_t n) const;
  std::string state() const;
  void draw_bar() const;

  bool on_terminal_;
  bool running_ = false;
  std::string task_, unit_;
  uint64_t done_ = 0, total_ = 0;
  Clock::time_point started_, last_shown_;
};

}  // namespace mixtral
