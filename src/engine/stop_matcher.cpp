#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace mixtral {
namespace {

// Bytes at the end of `text` that `stop` could begin with; all of `stop` is not among them.
size_t begun(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == stop.substr(0, n)) return n;
  }
  return 0;
}

}  // namespace

std::string StopMatcher::push(std::string_view piece) {
  held_ += piece;
  // The stop string that is complete first counts; of two that end at one place, the longer.
  size_t first_end = std::string::npos, cut = 0, n_held = 0;
  found_ = nullptr;
  for (const std::string& stop : stop_) {
    const size_t begin = held_.find(stop);
    if (begin == std::string::npos) {
      n_held = std::max(n_held, begun(held_, stop));
      continue;
    }
    const size_t end = begin + stop.size();
    if (end < first_end || (end == first_end && begin < cut)) {
      first_end = end;
      cut = begin;
      found_ = &stop;
    }
  }
  std::string certain = held_.substr(0, stopped() ? cut : held_.size() - n_held);
  held_.erase(0, stopped() ? held_.size() : certain.size());
  return certain;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

}  // namespace mixtral
