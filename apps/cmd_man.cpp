// `mixtral man`: the manual pages, from the same words as --help.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

#include "app_context.h"
#include "command_tree.h"
#include "commands.h"
#include "terminal.h"

namespace mixtral {
namespace {

struct Options {
  std::string command, folder;
};

// As text for roff: no hyphenation of options, no line that begins as a request does.
std::string roff(const std::string& text) {
  std::string escaped;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) escaped += "\\&";
    line_begins = c == '\n';
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string page_name(const CommandFacts& command) {
  return command.name.empty() ? "mixtral" : "mixtral-" + command.name;
}

std::string option_text(const OptionFacts& option) {
  std::string names;
  for (const std::string& name : option.names)
    names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff(name));
  if (!option.value.empty())
    names += fmt::format("{}\\fI{}\\fR", names.empty() ? "" : " ", roff(option.value));
  std::string text = roff(option.description);
  if (!option.choices.empty())
    text += fmt::format("\n({})", roff(fmt::format("{}", fmt::join(option.choices, ", "))));
  if (!option.default_value.empty()) text += fmt::format("\n[{}]", roff(option.default_value));
  return fmt::format(".TP\n{}\n{}\n", names, text);
}

std::string page(const std::vector<CommandFacts>& tree, const CommandFacts& command) {
  const bool whole = command.name.empty();
  std::string text = fmt::format(".TH {} 1 \"\" \"mixtral {}\" \"User Commands\"\n",
                                 CLI::detail::to_lower(page_name(command)), MIXTRAL_VERSION);
  text += fmt::format(".SH NAME\n{} \\- {}\n", roff(page_name(command)), roff(command.description));
  text += fmt::format(".SH SYNOPSIS\n.B mixtral\n{}[\\fIOPTIONS\\fR]{}\n",
                      whole ? "" : "\\fB" + roff(command.name) + "\\fR ",
                      whole ? " \\fICOMMAND\\fR" : "");
  if (whole) {
    text += ".SH COMMANDS\n";
    for (const CommandFacts& other : tree) {
      if (other.name.empty()) continue;
      text +=
          fmt::format(".TP\n\\fB{}\\fR(1)\n{}\n", roff(page_name(other)), roff(other.description));
    }
  }
  text += ".SH OPTIONS\n";
  for (const OptionFacts& option : command.options) text += option_text(option);
  // Examples keep their lines.
  text += fmt::format(".SH NOTES\n.nf\n{}\n.fi\n", roff(command.footer));
  return text + fmt::format(".SH SEE ALSO\n{}\n",
                            whole ? "\\fBmixtral COMMAND \\-\\-help\\fR" : "\\fBmixtral\\fR(1)");
}

Status write_pages(const std::vector<CommandFacts>& tree, const std::string& folder) {
  for (const CommandFacts& command : tree) {
    const auto path = std::filesystem::path(folder) / (page_name(command) + ".1");
    std::ofstream file(path);
    file << page(tree, command);
    file.close();
    if (!file) return fail(ErrorCode::kIo, "{}: cannot be written", path.string());
  }
  return {};
}

Status run(const Options& options, const CLI::App& app) {
  const auto tree = command_tree(app);
  if (!options.folder.empty()) return write_pages(tree, options.folder);
  const auto found = std::find_if(tree.begin(), tree.end(), [&](const CommandFacts& command) {
    return command.name == options.command;
  });
  if (found == tree.end()) return fail(ErrorCode::kBadInput, "no command {}", options.command);
  write_out(page(tree, *found));
  return {};
}

constexpr const char* kHelp = R"(Examples:
  mixtral man | man -l -
  mixtral man serve > mixtral-serve.1
  mixtral man --all ~/.local/share/man/man1)";

}  // namespace

void add_man_command(CLI::App& app, AppContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("man", "Print a manual page");
  command->footer(kHelp);
  auto* name =
      command->add_option("command", options->command, "A command (default: the whole program)");
  command->add_option("--all", options->folder, "Write all pages into this folder")
      ->type_name("FOLDER")
      ->excludes(name);
  command->callback([options, &app, &context] { context.finish(run(*options, app)); });
}

}  // namespace mixtral
