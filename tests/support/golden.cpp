#include "support/golden.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

namespace mixtral::testing {

std::optional<std::string> find_golden(const std::string& relative) {
  const std::filesystem::path source = MIXTRAL_SOURCE_DIR;
  std::vector<std::filesystem::path> places = {source / "tests/golden/data",
                                               source / "../shared/golden"};
  if (const char* folder = std::getenv("MIXTRAL_GOLDEN_DIR")) places.insert(places.begin(), folder);
  for (const auto& place : places) {
    if (std::filesystem::exists(place / relative)) return (place / relative).string();
  }
  return std::nullopt;
}

std::optional<std::string> find_default_model() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache == nullptr && home == nullptr) return std::nullopt;
  const auto folder =
      cache != nullptr ? std::filesystem::path(cache) : std::filesystem::path(home) / ".cache";
  const auto path = folder / "mixtral" / "default.gguf";
  return std::filesystem::exists(path) ? std::optional(path.string()) : std::nullopt;
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "mixtral-test-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace mixtral::testing
