// `mixtral convert`: the same model in another format.
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
  std::string model, out, to, type;
  bool force = false;
};

Status run(const Arguments& arguments, const AppContext& context) {
  MIXTRAL_TRY(const Checkpoint checkpoint, as_input(Checkpoint::open(arguments.model)));
  for (const std::string& warning : checkpoint.warnings()) context.warn(warning);
  MIXTRAL_TRY(const ModelSource source, as_input(model_source(checkpoint)));
  WriteOptions options;
  options.replace = arguments.force;
  if (!arguments.type.empty()) options.type = type_from_name(arguments.type);
  const ModelFormat format = arguments.to.empty()     ? format_of_path(arguments.out)
                             : arguments.to == "gguf" ? ModelFormat::kGguf
                                                      : ModelFormat::kHuggingFace;
  MIXTRAL_TRY(const WriteReport report,
              write_model(source, format, arguments.out, options, context.make_progress().get()));
  context.note(fmt::format("{}: {}, {}", arguments.out, counted(report.n_tensors, "tensor"),
                           format_bytes(report.n_bytes)));
  if (report.notes.empty()) context.note("All values are the same as before.");
  for (const std::string& note : report.notes) context.note(note);
  return {};
}

constexpr const char* kFooter =
    R"(Floats keep their bits where both formats have the type. Blocks of quantised
types stay as they are in GGUF files and become F32 in folders; what changes is said at the end.

Examples:
  mixtral convert -m Mixtral-8x7B-Instruct/ -o mixtral.gguf
  mixtral convert -m model.gguf -o model-folder --type BF16)";

}  // namespace

void add_convert_command(CLI::App& app, AppContext& context) {
  CLI::App* command =
      app.add_subcommand("convert", "Convert between GGUF files and Hugging Face folders");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("-m,--model", arguments->model, "Any model")->required()->check(not_empty);
  command->add_option("-o,--out", arguments->out, "File ending in .gguf, or folder")
      ->required()
      ->check(not_empty);
  command->add_option("--to", arguments->to, "Format, if the name of --out does not tell")
      ->check(CLI::IsMember({"gguf", "huggingface"}));
  command->add_option("--type", arguments->type, "Type of the matrices (default: as they are)")
      ->check(CLI::IsMember({"F32", "F16", "BF16"}, CLI::ignore_case));
  command->add_flag("--force", arguments->force, "Replace what is at --out");
  add_output_options(*command, context);
  command->footer(kFooter);
  command->callback([arguments, &context] { context.finish(run(*arguments, context)); });
}

}  // namespace mixtral
