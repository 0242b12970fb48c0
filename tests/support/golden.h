// Where tests find reference data: the small part committed under tests/golden/data, the rest
// beside the checkout where a full set is at hand.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace mixtral::testing {

/// The path of "models/NAME/…", "adapters/NAME/…", "gguf/…", "tokenizer/…" or "smollm2/…", or
/// nothing if no place has it. The places: $MIXTRAL_GOLDEN_DIR, tests/golden/data,
/// ../shared/golden.
std::optional<std::string> find_golden(const std::string& relative);

/// ${XDG_CACHE_HOME:-~/.cache}/mixtral/default.gguf, which ./run.sh prepares, if it is there.
std::optional<std::string> find_default_model();

/// A fresh empty folder below the system's temporary folder, removed at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace mixtral::testing

// Skips the test, saying what is missing, unless the golden file or folder is at hand.
#define MIXTRAL_FIND_GOLDEN(variable, relative)                                         \
  const auto variable##_found = ::mixtral::testing::find_golden(relative);              \
  if (!variable##_found)                                                                \
    GTEST_SKIP() << "no golden data " << (relative) << " (see tests/golden/README.md)"; \
  const std::string variable = *variable##_found
