// Finds stop strings in a text that arrives in pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mixtral {

/// What could be the beginning of a stop string is held back until it is certain. Where the text
/// ends does not depend on how it was cut into pieces. Not thread-safe.
class StopMatcher {
 public:
  /// No stop string may be empty.
  explicit StopMatcher(std::vector<std::string> stop) : stop_(std::move(stop)) {}
  StopMatcher(StopMatcher&&) = delete;  // found() points into it

  /// Adds a piece and returns the text that has become certain. Once a stop string is complete that
  /// is all before it, and stopped() is true.
  std::string push(std::string_view piece);
  /// The end of the text: what was held back.
  std::string finish();
  bool stopped() const { return found_ != nullptr; }
  /// The stop string that ended the text; nullptr if none did.
  const std::string* found() const { return found_; }

 private:
  std::vector<std::string> stop_;
  std::string held_;
  const std::string* found_ = nullptr;
};

}  // namespace mixtral
