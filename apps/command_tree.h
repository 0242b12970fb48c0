// The program's commands and options as data, for manual pages and completion.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace mixtral {

struct OptionFacts {
  std::vector<std::string> names;    ///< "-m", "--model"; empty: an argument without a name
  std::string value;                 ///< what it takes: "FILE"; "" if it takes nothing
  std::vector<std::string> choices;  ///< the only values there are, if they are listed
  std::string description, default_value;
  bool repeats = false;  ///< may come more than once
};

struct CommandFacts {
  std::string name;  ///< "serve"; "" for the program itself
  std::string description, footer;
  std::vector<OptionFacts> options;
};

/// The program itself first, then its commands in their order.
std::vector<CommandFacts> command_tree(const CLI::App& app);

}  // namespace mixtral
