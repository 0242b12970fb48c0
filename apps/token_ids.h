// Token ids on the command line and in files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace mixtral {

/// "1,2,3": numbers with commas or white space between them. `where` begins the message.
Result<std::vector<int32_t>> parse_ids(std::string_view text, std::string_view where);
/// A JSON array of ids, or an object with such an array under "ids".
Result<std::vector<int32_t>> parse_ids_json(std::string_view text, std::string_view where);
Result<std::vector<int32_t>> read_ids_file(const std::string& path);

/// The text of a file or pipe; "-" is standard input, read to its end. At most 1 GB.
Result<std::string> read_text(const std::string& path);

}  // namespace mixtral
