#include "command_tree.h"

#include <CLI/CLI.hpp>

namespace mixtral {
namespace {

// What stands between braces in "NAME:{mistral,chatml}".
std::vector<std::string> choices_of(const std::string& type) {
  const size_t open = type.find('{'), close = type.find('}');
  if (open == std::string::npos || close == std::string::npos || close < open) return {};
  return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

OptionFacts facts_of(const CLI::Option& option) {
  OptionFacts facts;
  for (const std::string& name : option.get_snames()) facts.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) facts.names.push_back("--" + name);
  if (option.get_items_expected_max() > 0) {
    const std::string type = option.get_type_name();
    facts.value = facts.names.empty() ? option.get_name() : type.substr(0, type.find(':'));
    facts.choices = choices_of(type);
  }
  facts.description = option.get_description();
  facts.default_value = option.get_default_str();
  facts.repeats = option.get_items_expected_max() > 1;
  return facts;
}

CommandFacts facts_of(const CLI::App& command) {
  CommandFacts facts;
  facts.name = command.get_parent() == nullptr ? "" : command.get_name();
  facts.description = command.get_description();
  facts.footer = command.get_footer();
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_group().empty()) facts.options.push_back(facts_of(*option));  // else hidden
  }
  return facts;
}

}  // namespace

std::vector<CommandFacts> command_tree(const CLI::App& app) {
  std::vector<CommandFacts> tree = {facts_of(app)};
  for (const CLI::App* command : app.get_subcommands({})) tree.push_back(facts_of(*command));
  return tree;
}

}  // namespace mixtral
