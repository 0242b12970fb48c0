// `mixtral detokenize`: token ids to text.
#include <CLI/CLI.hpp>
#include <memory>

#include "app_context.h"
#include "commands.h"
#include "io/json.h"
#include "load_tokenizer.h"
#include "model_options.h"
#include "number_option.h"
#include "terminal.h"
#include "token_ids.h"

namespace mixtral {
namespace {

struct Options {
  ModelOptions model;
  std::string ids, ids_file;
  bool json = false;
};

// Standard input may hold JSON or plain numbers.
Result<std::vector<int32_t>> read_ids(const Options& options) {
  if (!options.ids.empty()) return parse_ids(options.ids, "--ids");
  if (!options.ids_file.empty()) return read_ids_file(options.ids_file);
  MIXTRAL_TRY(const std::string text, read_text("-"));
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool is_json = first != std::string::npos && (text[first] == '[' || text[first] == '{');
  return is_json ? parse_ids_json(text, "standard input") : parse_ids(text, "standard input");
}

Status check_ids(const std::vector<int32_t>& ids, const Tokenizer& tokenizer) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || static_cast<size_t>(ids[i]) >= tokenizer.vocab_size()) {
      return fail(ErrorCode::kBadInput,
                  "token id {} at position {} is outside the vocabulary of {} tokens", ids[i], i,
                  tokenizer.vocab_size());
    }
  }
  return {};
}

Status run(const Options& options) {
  MIXTRAL_TRY(const auto tokenizer, load_tokenizer(options.model));
  MIXTRAL_TRY(const auto ids, read_ids(options));
  MIXTRAL_TRY(check_ids(ids, *tokenizer));
  const std::string text = tokenizer->decode(ids);
  if (options.json) {
    write_out(Json({{"text", text}}).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    write_out(text);
    if (is_terminal(stdout)) write_out("\n");
  }
  return {};
}

constexpr const char* kHelp =
    R"(Without --ids and --ids-file the ids come from standard input: JSON, or numbers with commas or spaces.

Examples:
  mixtral detokenize --ids 15339,2159
  mixtral tokenize --file letter.txt --json | mixtral detokenize)";

}  // namespace

void add_detokenize_command(CLI::App& app, AppContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("detokenize", "Turn token ids into text");
  command->footer(kHelp);
  add_model_option(*command, options->model,
                   "GGUF file, packed model, folder, tokenizer.model or tokenizer.json");
  auto* ids = command->add_option("--ids", options->ids, "Token ids: 1,2,3")->check(not_empty);
  command
      ->add_option("--ids-file", options->ids_file, "JSON file: [1, 2, 3] or {\"ids\": [1, 2, 3]}")
      ->excludes(ids);
  command->add_flag("--json", options->json, "Print one JSON object");
  add_output_options(*command, context);
  command->callback([options, &context] { context.finish(run(*options)); });
}

}  // namespace mixtral
