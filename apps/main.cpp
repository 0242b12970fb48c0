// `mixtral`: one program, one subcommand for each thing to do with a model.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "app_context.h"
#include "commands.h"
#include "interrupt.h"
#include "io/quoted.h"

namespace {

constexpr const char* kExamples = R"(Examples:
  mixtral chat                                 talk to the default model
  mixtral generate "Why is the sky blue?"      one answer on standard output
  mixtral generate -m model.gguf --file letter.txt --greedy -n 200
  mixtral serve                                answer over HTTP, with a page to chat on
  mixtral info -m Mixtral-8x7B-Instruct/       what a checkpoint holds, and whether it fits here

Models: a GGUF file, a packed model, or a folder from Hugging Face or Mistral (safetensors).
Without -m the default model is used, which ./run.sh prepares. `mixtral COMMAND --help` explains each command.

Exit codes: 0 good, 1 failure, 2 bad input or usage.)";

// `mixtral help` and `mixtral help COMMAND` are what one types first; CLI11 wants --help.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty() || arguments[0] != "help") return arguments;
  arguments.erase(arguments.begin());
  arguments.push_back("--help");
  return arguments;
}

// The word in the place of the command, if there is no such command.
std::optional<std::string> unknown_word(const CLI::App& app,
                                        const std::vector<std::string>& arguments) {
  if (arguments.empty()) return std::nullopt;
  const std::string& word = arguments[0];
  const auto named = [&](const CLI::App* command) { return command->get_name() == word; };
  const bool known = word.starts_with('-') ? app.get_option_no_throw(word) != nullptr
                                           : !app.get_subcommands(named).empty();
  return known ? std::nullopt : std::optional(word);
}

int run(int argc, char** argv) {
  mixtral::AppContext context;
  CLI::App app("Mixtral of Experts: sparse mixture-of-experts language models on your own machine.",
               "mixtral");
  app.set_version_flag("--version", "mixtral " MIXTRAL_VERSION);
  app.require_subcommand(1);
  app.set_config("--config", "", "TOML file with options: docs/cli.md")->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.footer(kExamples);
  mixtral::add_chat_command(app, context);
  mixtral::add_generate_command(app, context);
  mixtral::add_serve_command(app, context);
  mixtral::add_info_command(app, context);
  mixtral::add_tokenize_command(app, context);
  mixtral::add_detokenize_command(app, context);
  mixtral::add_logits_command(app, context);
  mixtral::add_convert_command(app, context);
  mixtral::add_pack_command(app, context);
  mixtral::add_quantize_command(app, context);
  mixtral::add_imatrix_command(app, context);
  mixtral::add_perplexity_command(app, context);
  mixtral::add_upcycle_command(app, context);
  mixtral::add_make_model_command(app, context);
  mixtral::add_bench_command(app, context);
  mixtral::add_load_test_command(app, context);
  mixtral::add_completion_command(app, context);
  mixtral::add_man_command(app, context);
  std::vector<std::string> arguments = arguments_of(argc, argv);
  if (const auto word = unknown_word(app, arguments)) {
    fmt::print(stderr, "mixtral: no command {} (mixtral --help lists them)\n",
               mixtral::in_quotes(*word));
    return mixtral::kExitBadInput;
  }
  std::reverse(arguments.begin(), arguments.end());  // the order that CLI11 takes them in
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::Success& asked_for_text) {  // --help, --version
    return app.exit(asked_for_text);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "mixtral: {} (see mixtral --help)\n", error.what());
    return mixtral::kExitBadInput;
  }
  return context.exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  int exit_code = mixtral::kExitFailure;
  mixtral::clean_up_on_signals();
  mixtral::explain_bus_errors();
  try {
    exit_code = run(argc, argv);
  } catch (const std::exception& error) {  // in all likelihood out of memory
    fmt::print(stderr, "mixtral: {}\n", error.what());
  }
  mixtral::end_by_signal();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    fmt::print(stderr, "mixtral: cannot write to standard output\n");
    if (exit_code == mixtral::kExitGood) exit_code = mixtral::kExitFailure;
  }
  return exit_code;
}
