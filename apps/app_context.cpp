#include "app_context.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "progress_bar.h"

namespace mixtral {

int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput:
    case ErrorCode::kUnsupported:
    case ErrorCode::kNotFound:
    case ErrorCode::kTooLarge: return kExitBadInput;
    case ErrorCode::kIo:
    case ErrorCode::kDevice:
    case ErrorCode::kBusy:
    case ErrorCode::kCancelled: return kExitFailure;
  }
  return kExitFailure;
}

void AppContext::finish(const Status& status) {
  if (status) return;
  exit_code = exit_code_of(status.error().code);
  fmt::print(stderr, "mixtral: {}\n", status.error().message);
}

void AppContext::note(std::string_view line) const {
  if (!quiet) fmt::print(stderr, "{}\n", line);
}

void AppContext::warn(std::string_view line) const {
  if (!quiet) fmt::print(stderr, "mixtral: warning: {}\n", line);
}

std::unique_ptr<Progress> AppContext::make_progress() const {
  if (quiet) return nullptr;
  return std::make_unique<ProgressBar>();
}

void add_output_options(CLI::App& command, AppContext& context) {
  command.add_flag("-q,--quiet", context.quiet, "Print results and errors only");
  command.add_flag("-v,--verbose", context.verbose, "Say more about how the work is done");
}

}  // namespace mixtral
