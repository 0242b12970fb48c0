// JSON from untrusted files: bounded in size and depth, errors that name the file and the byte.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/result.h"

namespace mixtral {

using Json = nlohmann::ordered_json;

/// Objects look a key up among all keys: walk over large ones instead of asking for each key.
/// Nesting deeper than 64 and duplicate keys of one object are refused. `where` begins the
/// messages.
Result<Json> parse_json(std::string_view text, std::string_view where);
/// The same from a file of at most `limit_bytes`.
Result<Json> read_json_file(const std::string& path, uint64_t limit_bytes);

}  // namespace mixtral
