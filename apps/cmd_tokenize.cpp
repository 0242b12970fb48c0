// `mixtral tokenize`: text or a dialogue to token ids.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "app_context.h"
#include "commands.h"
#include "dialogue.h"
#include "io/json.h"
#include "load_tokenizer.h"
#include "model_options.h"
#include "terminal.h"
#include "token_ids.h"

namespace mixtral {
namespace {

struct Options {
  ModelOptions model;
  std::string file = "-", chat_file, chat_template;
  bool bos = false, special = false, json = false;
};

std::string json_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// One line for each token: its id and its piece.
std::string token_lines(const std::vector<int32_t>& ids, const Tokenizer& tokenizer) {
  std::string out;
  for (const int32_t id : ids) {
    out += fmt::format("{:6} {}\n", id, printable(tokenizer.piece(id)));
  }
  return out;
}

Status tokenize_chat(const Options& options, const Tokenizer& tokenizer) {
  MIXTRAL_TRY(const auto messages, read_messages(options.chat_file));
  MIXTRAL_TRY(const auto chat_template, chat_template_of(options.chat_template, tokenizer));
  MIXTRAL_TRY(const RenderedChat chat, chat_template.render(messages));
  write_out(options.json ? json_line({{"text", chat.text}, {"ids", chat.ids}})
                         : token_lines(chat.ids, tokenizer));
  return {};
}

Status tokenize_text(const Options& options, const Tokenizer& tokenizer) {
  MIXTRAL_TRY(const std::string text, read_text(options.file));
  auto ids = tokenizer.encode(text, options.special ? SpecialText::kParse : SpecialText::kAsText);
  if (options.bos) {
    if (!tokenizer.bos_id()) {
      return fail(ErrorCode::kBadInput, "--bos: this tokenizer has no BOS token");
    }
    ids.insert(ids.begin(), *tokenizer.bos_id());
  }
  write_out(options.json ? json_line({{"ids", ids}}) : token_lines(ids, tokenizer));
  return {};
}

Status run(const Options& options) {
  MIXTRAL_TRY(const auto tokenizer, load_tokenizer(options.model));
  return options.chat_file.empty() ? tokenize_text(options, *tokenizer)
                                   : tokenize_chat(options, *tokenizer);
}

constexpr const char* kHelp = R"(Reads standard input to its end, every byte as it is.

Examples:
  printf 'Hello' | mixtral tokenize
  mixtral tokenize -m tokenizer.model --file letter.txt --bos --json
  mixtral tokenize --chat messages.json --json     [{"role": "user", "content": "Hello"}])";

}  // namespace

void add_tokenize_command(CLI::App& app, AppContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("tokenize", "Turn text into token ids");
  command->footer(kHelp);
  add_model_option(*command, options->model,
                   "GGUF file, packed model, folder, tokenizer.model or tokenizer.json");
  auto* file = command->add_option("--file", options->file, "Text file instead of standard input");
  auto* bos = command->add_flag("--bos", options->bos, "Begin with BOS");
  auto* special = command->add_flag("--special", options->special,
                                    "Read <s> and the like as control tokens, not as text");
  command
      ->add_option("--chat", options->chat_file,
                   "JSON file with a list of messages, rendered by the chat template")
      ->excludes(file, bos, special);
  add_chat_template_option(*command, options->chat_template);
  command->add_flag("--json", options->json, "Print one JSON object");
  add_output_options(*command, context);
  command->callback([options, &context] { context.finish(run(*options)); });
}

}  // namespace mixtral
