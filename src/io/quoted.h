// How names from untrusted files appear in messages: on one line, and never long.
#pragma once

#include <string>
#include <string_view>

namespace mixtral {

/// "name" in quotes; control bytes become \xNN and long names are cut.
std::string in_quotes(std::string_view name);

/// True if `name` has no control bytes, so that it may stand in any message as it is.
bool is_printable(std::string_view name);

}  // namespace mixtral
