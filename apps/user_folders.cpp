#include "user_folders.h"

#include <cstdlib>

namespace mixtral {
namespace {

// The specification ignores relative paths.
std::filesystem::path xdg_folder(const char* variable, const char* below_home) {
  const char* value = std::getenv(variable);
  if (value != nullptr && *value == '/') return std::filesystem::path(value) / "mixtral";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : "/") / below_home / "mixtral";
}

}  // namespace

std::filesystem::path cache_folder() { return xdg_folder("XDG_CACHE_HOME", ".cache"); }
std::filesystem::path state_folder() { return xdg_folder("XDG_STATE_HOME", ".local/state"); }

}  // namespace mixtral
