// `mixtral pack`: a model with its weights as the CPU computes with them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app_context.h"
#include "commands.h"
#include "convert/write_model.h"
#include "number_option.h"
#include "terminal.h"

namespace mixtral {
namespace {

struct Arguments {
  std::string model, out;
  bool force = false;
};

Status run(const Arguments& arguments, const AppContext& context) {
  MIXTRAL_TRY(const Checkpoint checkpoint, as_input(Checkpoint::open(arguments.model)));
  for (const std::string& warning : checkpoint.warnings()) context.warn(warning);
  MIXTRAL_TRY(const ModelSource source, as_input(model_source(checkpoint)));
  MIXTRAL_TRY(const WriteReport report,
              write_model(source, ModelFormat::kPacked, arguments.out, {.replace = arguments.force},
                          context.make_progress().get()));
  context.note(fmt::format("{}: {}, {}", arguments.out, counted(report.n_tensors, "tensor"),
                           format_bytes(report.n_bytes)));
  for (const std::string& note : report.notes) context.note(note);
  return {};
}

constexpr const char* kFooter =
    R"(A packed model is used like any other, on any machine that this program runs on, and
starts at once: it is mapped into memory as it is. Every weight keeps its type and its bits, so
answers are the same, and `mixtral convert` brings it back. `mixtral info --verify` checks it.

Examples:
  mixtral pack -m Mixtral-8x7B-Instruct-Q4_K_M.gguf -o mixtral.packed
  mixtral chat -m mixtral.packed)";

}  // namespace

void add_pack_command(CLI::App& app, AppContext& context) {
  CLI::App* command =
      app.add_subcommand("pack", "Write a model in the CPU's own layout, which loads at once");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("-m,--model", arguments->model, "Any model")->required()->check(not_empty);
  command->add_option("-o,--out", arguments->out, "File to write")->required()->check(not_empty);
  command->add_flag("--force", arguments->force, "Replace what is at --out");
  add_output_options(*command, context);
  command->footer(kFooter);
  command->callback([arguments, &context] { context.finish(run(*arguments, context)); });
}

}  // namespace mixtral
