// `mixtral completion`: what lets a shell complete the words of a command line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "app_context.h"
#include "command_tree.h"
#include "commands.h"
#include "terminal.h"

namespace mixtral {
namespace {

std::string joined_names(const CommandFacts& command) {
  std::string names;
  for (const OptionFacts& option : command.options)
    names += fmt::format("{}{}", names.empty() ? "" : " ", fmt::join(option.names, " "));
  return names;
}

// Where bash finds no word of its own it completes names of files.
std::string bash_script(const std::vector<CommandFacts>& tree) {
  std::string commands, options, values;
  for (const CommandFacts& command : tree) {
    if (!command.name.empty()) commands += " " + command.name;
    options += fmt::format("    \"{}\") words=\"{}\" ;;\n", command.name, joined_names(command));
    for (const OptionFacts& option : command.options) {
      if (option.choices.empty()) continue;
      for (const std::string& name : option.names)
        values += fmt::format("    \"{} {}\") words=\"{}\" ;;\n", command.name, name,
                              fmt::join(option.choices, " "));
    }
  }
  return fmt::format(
      R"(# Completion of mixtral's command lines in bash: source it, or see docs/cli.md.
_mixtral() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" command="" words="" i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    if [[ "${{COMP_WORDS[i]}}" != -* ]]; then command="${{COMP_WORDS[i]}}"; break; fi
  done
  COMPREPLY=()
  case "$command $previous" in
{1}  esac
  if [[ -z "$words" && "$current" == -* ]]; then
    case "$command" in
{2}    esac
  elif [[ -z "$words" && -z "$command" ]]; then
    words="help{0}"
  elif [[ -z "$words" && "$command" == help ]]; then
    words="{0}"
  fi
  [[ -z "$words" ]] || COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _mixtral mixtral
)",
      commands, values, options);
}

// Between single quotes, with what _arguments and _describe give a meaning of their own escaped.
std::string zsh_text(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\'') {
      escaped += "'\\''";
    } else if (c == '[' || c == ']' || c == ':' || c == '\\') {
      escaped += {'\\', c};
    } else {
      escaped += c == '\n' ? ' ' : c;
    }
  }
  return escaped;
}

std::string zsh_arguments(const CommandFacts& command) {
  std::string lines;
  for (const OptionFacts& option : command.options) {
    const std::string action = option.choices.empty()
                                   ? std::string("_files")
                                   : fmt::format("({})", fmt::join(option.choices, " "));
    const std::string value =
        option.value.empty() ? "" : fmt::format(":{}:{}", zsh_text(option.value), action);
    for (const std::string& name : option.names)
      lines += fmt::format(" \\\n        '{}{}[{}]{}'", option.repeats ? "*" : "", name,
                           zsh_text(option.description), value);
  }
  return lines + " \\\n        '*:file:_files'";
}

std::string zsh_script(const std::vector<CommandFacts>& tree) {
  std::string commands, cases;
  for (const CommandFacts& command : tree) {
    if (!command.name.empty())
      commands += fmt::format("    '{}:{}'\n", command.name, zsh_text(command.description));
    cases += fmt::format("    {})\n      _arguments{}\n      ;;\n",
                         command.name.empty() ? "''" : command.name, zsh_arguments(command));
  }
  return fmt::format(R"(#compdef mixtral
# Completion of mixtral's command lines in zsh: as _mixtral in a folder of $fpath, or see docs/cli.md.
_mixtral() {{
  local -a commands
  commands=(
{0}  )
  local command=''
  if (( CURRENT > 2 )); then
    command=$words[2]
    shift words
    (( CURRENT -= 1 ))
  elif [[ $words[CURRENT] != -* ]]; then
    _describe command commands
    return
  fi
  case $command in
{1}  esac
}}
# From a folder of $fpath this whole file is the function's first call.
if [[ "$funcstack[1]" == _mixtral ]]; then _mixtral "$@"; else compdef _mixtral mixtral; fi
)",
                     commands, cases);
}

constexpr const char* kHelp = R"(Examples:
  source <(mixtral completion bash)                     in ~/.bashrc
  source <(mixtral completion zsh)                      in ~/.zshrc, behind compinit)";

}  // namespace

void add_completion_command(CLI::App& app, AppContext& context) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Print what lets a shell complete command lines");
  command->footer(kHelp);
  command->add_option("shell", *shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  command->callback([shell, &app, &context] {
    const auto tree = command_tree(app);
    write_out(*shell == "bash" ? bash_script(tree) : zsh_script(tree));
    context.finish({});
  });
}

}  // namespace mixtral
