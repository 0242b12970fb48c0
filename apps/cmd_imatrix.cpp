// `mixtral imatrix`: which columns of a model's matrices matter, from a text that it reads.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app_context.h"
#include "commands.h"
#include "eval/input_sums.h"
#include "io/file.h"
#include "model_options.h"
#include "number_option.h"
#include "terminal.h"
#include "text_windows.h"

namespace mixtral {
namespace {

struct Arguments {
  ModelOptions model;
  WindowOptions windows;
  std::string text_file, out;
};

// The fewest rows that any matrix has seen: what the weakest of the sums rests on.
float fewest_rows(const ImportanceMatrix& matrix) {
  float fewest = static_cast<float>(matrix.n_chunks * matrix.chunk_tokens);
  for (const auto& [name, sums] : matrix.weights)
    for (const float count : sums.counts) fewest = std::min(fewest, count);
  return fewest;
}

Status run(Arguments arguments, const AppContext& context) {
  MIXTRAL_TRY(check_output_path(arguments.out));
  MIXTRAL_TRY(const Windows windows,
              windows_of_text(arguments.model, arguments.text_file, arguments.windows));
  arguments.model.context_len = windows.n_tokens();
  MIXTRAL_TRY(const auto engine, load_engine(arguments.model, context));
  MIXTRAL_TRY(ImportanceMatrix matrix,
              collect_importance(*engine, windows, context.make_progress().get()));
  matrix.datasets = {arguments.text_file};
  MIXTRAL_TRY(matrix.write(arguments.out));
  context.note(fmt::format("{}: {}, {} of {} tokens; every expert saw at least {} of them",
                           arguments.out, counted(matrix.weights.size(), "weight"),
                           counted(windows.size(), "window"), windows.n_tokens(),
                           fewest_rows(matrix)));
  return {};
}

constexpr const char* kFooter =
    R"(For mixtral quantize --imatrix, and for llama-quantize: the file is what
llama-imatrix writes. A few hundred windows of text as the model will read it are enough.

Example:
  mixtral imatrix -m model.gguf -f text.txt -o imatrix.gguf)";

}  // namespace

void add_imatrix_command(CLI::App& app, AppContext& context) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("imatrix", "Learn from a text which columns matter");
  command->footer(kFooter);
  add_model_option(*command, arguments->model);
  command->add_option("-f,--file", arguments->text_file, "Text file, - for standard input")
      ->required()
      ->check(not_empty);
  command->add_option("-o,--out", arguments->out, "GGUF file to write")
      ->required()
      ->check(not_empty);
  add_shown_number_option<size_t>(*command, "-c,--context", arguments->windows.context,
                                  "Tokens of a window", {.smallest = 4, .largest = kMaxContext});
  add_number_option<size_t>(*command, "--windows", arguments->windows.max_windows,
                            "Windows at most (default: the whole text)", {.smallest = 1});
  add_device_options(*command, arguments->model);
  add_output_options(*command, context);
  command->callback([arguments, &context] { context.finish(run(*arguments, context)); });
}

}  // namespace mixtral
