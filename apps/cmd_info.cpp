// `mixtral info`: what a checkpoint holds, and whether it fits this machine.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "app_context.h"
#include "commands.h"
#include "io/packed.h"
#include "model_options.h"
#include "model_report.h"
#include "terminal.h"

namespace mixtral {
namespace {

struct InfoOptions {
  ModelOptions model;
  bool tensors = false, verify = false, json = false;
};

Status verify(const std::string& path, const AppContext& context) {
  MIXTRAL_TRY(const PackedFile packed, as_input(PackedFile::open(path)));
  ThreadPool pool;
  MIXTRAL_TRY(as_input(packed.verify(pool, context.make_progress().get())));
  context.note(fmt::format("{}: all checksums are right", path));
  return {};
}

Status run(const InfoOptions& options, const AppContext& context) {
  MIXTRAL_TRY(const std::string path, model_path(options.model));
  MIXTRAL_TRY(const auto backend, make_backend(options.model));
  if (options.verify) MIXTRAL_TRY(verify(path, context));
  MIXTRAL_TRY(const Checkpoint checkpoint, as_input(Checkpoint::open(path)));
  MIXTRAL_TRY(const auto tokenizer, as_input(Tokenizer::load(path)));
  MIXTRAL_TRY(const ModelReport report, ModelReport::create(checkpoint, tokenizer.get(), *backend,
                                                            engine_options(options.model)));
  for (const std::string& warning : checkpoint.warnings()) context.warn(warning);
  const ModelConfig& config = checkpoint.config();
  warn_about_context(options.model.context_len, config, context);
  if (tokenizer != nullptr && tokenizer->vocab_size() > config.vocab_size) {
    context.warn(
        fmt::format("the tokenizer has {} tokens, but the embedding {} rows: the model "
                    "cannot be used with it",
                    tokenizer->vocab_size(), config.vocab_size));
  }
  write_out(options.json ? report.json(options.tensors).dump() + "\n"
                         : report.text(options.tensors));
  return {};
}

constexpr const char* kHelp =
    R"(The memory plan counts the weights as this machine will hold them, the keys and values of the whole
context and the scratch of one step, against the memory that is free now.

Examples:
  mixtral info
  mixtral info -m model.gguf --context 4096
  mixtral info -m Mixtral-8x7B-v0.1/ --tensors)";

}  // namespace

void add_info_command(CLI::App& app, AppContext& context) {
  auto options = std::make_shared<InfoOptions>();
  CLI::App* command =
      app.add_subcommand("info", "Show what a checkpoint holds and if it fits here");
  command->footer(kHelp);
  add_model_option(*command, options->model);
  command->add_flag("--tensors", options->tensors, "List every tensor");
  command->add_flag("--verify", options->verify, "Check every checksum of a packed model");
  command->add_flag("--json", options->json, "Print one JSON object");
  add_compute_options(*command, options->model);
  add_output_options(*command, context);
  command->callback([options, &context] { context.finish(run(*options, context)); });
}

}  // namespace mixtral
