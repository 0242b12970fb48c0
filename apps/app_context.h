// What every command shares: how much to say, where to say it, and how the program ends.
#pragma once

#include <memory>
#include <string_view>

#include "core/progress.h"
#include "core/result.h"

namespace CLI {
class App;
}

namespace mixtral {

inline constexpr int kExitGood = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitBadInput = 2;  ///< bad input or usage

struct AppContext {
  bool quiet = false;    ///< -q: nothing but results and errors
  bool verbose = false;  ///< -v: more about how the work is done
  int exit_code = kExitGood;

  /// The end of a command: a failure becomes one line on standard error and the exit code.
  void finish(const Status& status);
  /// One line on standard error, unless quiet.
  void note(std::string_view line) const;
  /// The same, marked as a warning.
  void warn(std::string_view line) const;
  /// A bar on a terminal, plain lines otherwise; nullptr when quiet.
  std::unique_ptr<Progress> make_progress() const;
};

/// -q and -v.
void add_output_options(CLI::App& command, AppContext& context);

int exit_code_of(ErrorCode code);

/// Marks what went wrong while reading a file of the user's as bad input: a file that cannot be
/// read is theirs to mend, unlike a disk that fills up while writing.
template <class T>
Result<T> as_input(Result<T> result) {
  if (!result && result.error().code == ErrorCode::kIo) result.error().code = ErrorCode::kBadInput;
  return result;
}

}  // namespace mixtral
