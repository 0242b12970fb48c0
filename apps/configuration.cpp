#include "configuration.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>

#include "io/json.h"
#include "number_option.h"

namespace mixtral {
namespace {

// A text between quotes, where it is neither a number nor true or false.
std::string toml_value(const std::string& text) {
  if (text == "true" || text == "false" || parse_number<double>(text)) return text;
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string toml_values(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0)
    return option.count() > 0 && option.as<bool>() ? "true" : "false";
  std::vector<std::string> values;
  for (const std::string& result : option.results()) values.push_back(toml_value(result));
  const bool is_list = option.get_items_expected_max() > 1;
  if (values.empty() && !is_list && !option.get_default_str().empty())
    return toml_value(option.get_default_str());
  if (is_list) return fmt::format("[{}]", fmt::join(values, ", "));
  return values.empty() ? std::string() : values.front();
}

bool is_setting(const CLI::Option& option) {
  const auto& names = option.get_lnames();
  return !names.empty() && names.front() != "help" && names.front() != "print-config";
}

}  // namespace

void add_configuration(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    if (!is_setting(*option)) continue;
    std::string name = "MIXTRAL_" + option->get_lnames().front();
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
      return c == '-' ? '_' : static_cast<char>(std::toupper(c));
    });
    option->envname(name);
  }
  command.fallthrough();  // --config is an option of the whole program
}

std::string configuration_text(const CLI::App& command) {
  std::string text = fmt::format("[{}]\n", command.get_name());
  for (const CLI::Option* option : command.get_options()) {
    if (!is_setting(*option)) continue;
    const std::string values = toml_values(*option);
    // What is not set is not the same as empty.
    if (values.empty() || values == "[]") {
      text += fmt::format("# {} =\n", option->get_lnames().front());
    } else {
      text += fmt::format("{} = {}\n", option->get_lnames().front(), values);
    }
  }
  return text;
}

}  // namespace mixtral
