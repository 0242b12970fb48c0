#include "progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "terminal.h"

namespace mixtral {
namespace {

using std::chrono::duration;
using std::chrono::milliseconds;

constexpr milliseconds kRedraw{50};
constexpr milliseconds kFirstLine{1000};  // shorter tasks are not worth a line
constexpr milliseconds kLineEvery{10000};
constexpr size_t kBarColumns = 30;

}  // namespace

ProgressBar::ProgressBar() : on_terminal_(is_terminal(stderr)) {}

ProgressBar::~ProgressBar() {
  if (running_ && on_terminal_) fmt::print(stderr, "\r\033[K");
}

void ProgressBar::start(std::string_view task, uint64_t total, std::string_view unit) {
  task_ = task;
  unit_ = unit;
  total_ = total;
  done_ = 0;
  running_ = true;
  started_ = Clock::now();
  last_shown_ = started_ - (on_terminal_ ? kRedraw : kLineEvery - kFirstLine);
}

void ProgressBar::update(uint64_t done) {
  done_ = done;
  const auto now = Clock::now();
  if (now - last_shown_ < (on_terminal_ ? kRedraw : kLineEvery)) return;
  last_shown_ = now;
  if (on_terminal_) {
    draw_bar();
  } else {
    fmt::print(stderr, "{}: {}\n", task_, state());
  }
}

void ProgressBar::finish() {
  const duration<double> seconds = Clock::now() - started_;
  if (on_terminal_) {
    fmt::print(stderr, "\r\033[K");
  } else if (done_ < total_) {
    fmt::print(stderr, "{}: stopped at {}\n", task_, state());
  } else if (seconds >= kFirstLine) {
    fmt::print(stderr, "{}: done in {:.1f} s\n", task_, seconds.count());
  }
  running_ = false;
}

std::string ProgressBar::amount(uint64_t n) const {
  return unit_ == "bytes" ? format_bytes(n) : fmt::format("{} {}", n, unit_);
}

std::string ProgressBar::state() const {
  if (total_ == 0) return amount(done_);
  return fmt::format("{} of {}", amount(std::min(done_, total_)), amount(total_));
}

void ProgressBar::draw_bar() const {
  std::string bar;
  if (total_ > 0) {
    const double part = static_cast<double>(std::min(done_, total_)) / static_cast<double>(total_);
    const auto full = static_cast<size_t>(part * kBarColumns);
    bar = fmt::format(" [{:=<{}}{:{}}] {:3.0f} %", "", full, "", kBarColumns - full, part * 100);
  }
  fmt::print(stderr, "\r{}{} {}\033[K", task_, bar, state());
  std::fflush(stderr);
}

}  // namespace mixtral
