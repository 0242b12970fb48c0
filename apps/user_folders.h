// Where this program keeps a user's files (XDG Base Directory Specification).
#pragma once

#include <filesystem>

namespace mixtral {

/// ${XDG_CACHE_HOME:-~/.cache}/mixtral: what can be made again. May not exist yet.
std::filesystem::path cache_folder();
/// ${XDG_STATE_HOME:-~/.local/state}/mixtral: the history of prompts. May not exist yet.
std::filesystem::path state_folder();

}  // namespace mixtral
