// What a folder holds, and what to tell a person when that is no model.
#pragma once

#include <string>
#include <vector>

#include "core/result.h"

namespace mixtral {

/// The names of the regular files (or links to such) in a folder, sorted.
Result<std::vector<std::string>> list_folder(const std::string& folder);

/// True for the extensions of pickles: ".bin", ".pth", ".pt", ".ckpt", ".pkl".
bool is_pickle_name(std::string_view name);

/// Why `folder`, which has these files, has no weights to read, and the way out.
tl::unexpected<Error> no_weights(const std::string& folder, const std::vector<std::string>& names);
/// The same for a single pickle.
tl::unexpected<Error> pickle_refused(const std::string& path);

}  // namespace mixtral
