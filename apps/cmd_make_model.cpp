// `mixtral make-model`: a model of true shape and random weights, for measuring.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app_context.h"
#include "commands.h"
#include "convert/make_model.h"
#include "convert/write_model.h"
#include "number_option.h"
#include "terminal.h"

namespace mixtral {
namespace {

struct Arguments {
  std::string shape = "mixtral-8x7b", type = "Q4_K_M", out;
  size_t n_layers = 0, vocab_size = 0;
  uint64_t seed = 0;
  double skew = 0;
  bool force = false;
};

Status run(const Arguments& arguments, const AppContext& context) {
  MIXTRAL_TRY(const TypeMix* mix, type_mix_from_name(arguments.type));
  ModelConfig config = model_shape(arguments.shape).value();  // checked when parsed
  if (arguments.n_layers != 0) config.n_layers = arguments.n_layers;
  if (arguments.vocab_size != 0) config.vocab_size = arguments.vocab_size;
  const std::string name = fmt::format("random {}, {}, {}", arguments.shape,
                                       counted(config.n_layers, "layer"), type_mix_name(*mix));
  MIXTRAL_TRY(const ModelSource model,
              make_random_model({name, config, mix, arguments.seed, arguments.skew}));
  WriteOptions options;
  options.replace = arguments.force;
  MIXTRAL_TRY(const WriteReport report, write_model(model, ModelFormat::kGguf, arguments.out,
                                                    options, context.make_progress().get()));
  context.note(fmt::format("{}: {}; {} parameters, {} active; {}", arguments.out, name,
                           format_count(config.n_parameters()),
                           format_count(config.n_active_parameters()),
                           format_bytes(report.n_bytes)));
  return {};
}

constexpr const char* kFooter =
    R"(The weights mean nothing, but have the sizes and types of the real ones, and
routers use all experts alike unless there is --skew. Any program that reads GGUF files can load the result.

Example:
  mixtral make-model --shape mixtral-8x7b --layers 6 --type Q4_K_M -o six-layers.gguf)";

}  // namespace

void add_make_model_command(CLI::App& app, AppContext& context) {
  CLI::App* command = app.add_subcommand("make-model", "Write a random model of a known shape");
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("--shape", arguments->shape, "Dimensions of which model")
      ->check(CLI::IsMember(model_shape_names()))
      ->capture_default_str();
  add_number_option<size_t>(*command, "--layers", arguments->n_layers,
                            "Layers (default: all of the shape)", {.smallest = 1, .largest = 4096});
  command->add_option("--type", arguments->type, "Type, or mix of types, of the weights")
      ->capture_default_str();
  add_number_option<size_t>(*command, "--vocab", arguments->vocab_size,
                            "Pieces of the vocabulary (default: 32000)", {.smallest = 1});
  add_shown_number_option(*command, "--seed", arguments->seed, "Of the random numbers", {});
  add_shown_number_option(*command, "--skew", arguments->skew,
                          "Uneven experts: expert e's router is (e + 1)^SKEW times weaker",
                          {.smallest = 0, .largest = 8});
  command->add_option("-o,--out", arguments->out, "GGUF file to write")
      ->required()
      ->check(not_empty);
  command->add_flag("--force", arguments->force, "Replace the file if it is there");
  add_output_options(*command, context);
  command->footer(fmt::format("{}\n\nTypes: {}.", kFooter, fmt::join(type_mix_names(), ", ")));
  command->callback([arguments, &context] { context.finish(run(*arguments, context)); });
}

}  // namespace mixtral
