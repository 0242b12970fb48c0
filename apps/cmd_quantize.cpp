// `mixtral quantize`: a model in smaller types.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app_context.h"
#include "commands.h"
#include "convert/write_model.h"
#include "model_options.h"
#include "number_option.h"
#include "terminal.h"

namespace mixtral {
namespace {

struct Arguments {
  std::string model, out, type, imatrix;
  size_t n_threads = 0;
  bool force = false;
};

Status run(const Arguments& arguments, const AppContext& context) {
  MIXTRAL_TRY(const TypeMix* mix, type_mix_from_name(arguments.type));
  MIXTRAL_TRY(const Checkpoint checkpoint, as_input(Checkpoint::open(arguments.model)));
  for (const std::string& warning : checkpoint.warnings()) context.warn(warning);
  MIXTRAL_TRY(const ModelSource source, as_input(model_source(checkpoint)));
  ImportanceMatrix importance;
  WriteOptions options;
  options.mix = mix;
  options.replace = arguments.force;
  options.n_threads = arguments.n_threads;
  if (!arguments.imatrix.empty()) {
    MIXTRAL_TRY(importance, as_input(ImportanceMatrix::read(arguments.imatrix)));
    options.importance = &importance;
  }
  MIXTRAL_TRY(const WriteReport report, write_model(source, ModelFormat::kGguf, arguments.out,
                                                    options, context.make_progress().get()));
  for (const std::string& warning : report.warnings) context.warn(warning);
  for (const std::string& note : report.notes) context.note(note);
  const double bits_per_weight =
      8.0 * static_cast<double>(report.n_bytes) / static_cast<double>(source.config.n_parameters());
  context.note(fmt::format("{}: {}, {}, {}, {:.2f} bits per weight", arguments.out,
                           type_mix_name(*mix), counted(report.n_tensors, "tensor"),
                           format_bytes(report.n_bytes), bits_per_weight));
  return {};
}

constexpr const char* kFooter =
    R"(The names mean what they mean to llama.cpp: Q4_K_M gives every matrix the type that
llama-quantize gives it. Norms and routers stay as they are.

Examples:
  mixtral quantize -m Mixtral-8x7B-Instruct/ -o mixtral-q4.gguf --type Q4_K_M
  mixtral imatrix -m model.gguf -f text.txt -o imatrix.gguf
  mixtral quantize -m model.gguf -o small.gguf --type Q3_K_S --imatrix imatrix.gguf)";

}  // namespace

void add_quantize_command(CLI::App& app, AppContext& context) {
  CLI::App* command = app.add_subcommand("quantize", "Write a model in smaller types");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("-m,--model", arguments->model, "GGUF file, Hugging Face or Mistral folder")
      ->required()
      ->check(not_empty);
  command->add_option("-o,--out", arguments->out, "GGUF file to write")
      ->required()
      ->check(not_empty);
  command->add_option("--type", arguments->type, "Type, or mix of types, of the weights")
      ->required();
  command
      ->add_option("--imatrix", arguments->imatrix,
                   "Importance matrix, of mixtral imatrix or llama-imatrix")
      ->check(not_empty);
  add_threads_option(*command, arguments->n_threads);
  command->add_flag("--force", arguments->force, "Replace the file if it is there");
  add_output_options(*command, context);
  command->footer(fmt::format("{}\n\nTypes: {}.", kFooter, fmt::join(type_mix_names(), ", ")));
  command->callback([arguments, &context] { context.finish(run(*arguments, context)); });
}

}  // namespace mixtral
