// Options of a command that may also stand in the environment or in a file.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace mixtral {

/// `--max-body 8` may also be MIXTRAL_MAX_BODY=8, or `max-body = 8` below [NAME OF THE COMMAND] in
/// the TOML file of --config. The command line comes first, then the file.
void add_configuration(CLI::App& command);

/// All options of the command with their values, as such a file.
std::string configuration_text(const CLI::App& command);

}  // namespace mixtral
