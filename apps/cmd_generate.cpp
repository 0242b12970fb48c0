// `mixtral generate`: one prompt, one answer.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "answer_options.h"
#include "app_context.h"
#include "commands.h"
#include "dialogue.h"
#include "io/json.h"
#include "model_options.h"
#include "number_option.h"
#include "prompt_ids.h"
#include "terminal.h"
#include "token_ids.h"

namespace mixtral {
namespace {

struct Options {
  ModelOptions model;
  AnswerOptions answer;
  std::string prompt, file, ids, ids_file;
  std::string system, chat_template;
  std::optional<size_t> n_logprobs;
  bool raw = false, json = false, ignore_end = false;
  bool gives_prompt = false, gives_ids = false;  ///< on the command line, even if empty
};

struct Prompt {
  std::vector<int32_t> ids;
  bool strip_leading_space = false;
};

// What can be read before the model is: ids, or a text that it is to encode.
struct GivenPrompt {
  std::vector<int32_t> ids;
  std::string text;
};

Result<std::string> prompt_text(const Options& options, const AppContext& context) {
  if (options.gives_prompt) return options.prompt;
  if (!options.file.empty()) return read_text(options.file);
  if (is_terminal(stdin)) context.note("The prompt, then Ctrl-D:");
  return read_text("-");
}

Result<GivenPrompt> given_prompt(const Options& options, const AppContext& context) {
  GivenPrompt given;
  if (options.gives_ids) {
    MIXTRAL_TRY(given.ids, given_ids(options.ids, options.ids_file));
  } else {
    MIXTRAL_TRY(given.text, prompt_text(options, context));
  }
  return given;
}

// The text as one turn of a dialogue, or as it is where the checkpoint knows no dialogues.
Result<Prompt> text_prompt(const Options& options, const std::string& text,
                           const Tokenizer& tokenizer, const AppContext& context) {
  if (options.raw) return Prompt{encode_with_bos(text, tokenizer)};
  const auto chat_template = chat_template_of(options.chat_template, tokenizer);
  if (!chat_template) {
    const bool asked = !options.chat_template.empty() || !options.system.empty();
    if (asked) return tl::unexpected(chat_template.error());
    context.note(fmt::format("The text is continued as it is: {}.", chat_template.error().message));
    return Prompt{encode_with_bos(text, tokenizer)};
  }
  std::vector<ChatMessage> messages;
  if (!options.system.empty()) messages.push_back({"system", options.system});
  messages.push_back({"user", text});
  MIXTRAL_TRY(RenderedChat chat, chat_template->render(messages));
  return Prompt{std::move(chat.ids), chat.strip_leading_space};
}

Result<Prompt> make_prompt(const Options& options, GivenPrompt given, const Engine& engine,
                           const AppContext& context) {
  if (options.gives_ids) return Prompt{std::move(given.ids)};
  MIXTRAL_TRY(need_tokenizer(engine.tokenizer()));
  auto prompt = text_prompt(options, given.text, *engine.tokenizer(), context);
  if (!prompt) return with_context(std::move(prompt).error(), engine.checkpoint().path());
  return prompt;
}

Json timings_json(const Timings& timings) {
  return {{"prompt_tokens", timings.prompt_tokens},
          {"prompt_seconds", timings.prompt_seconds},
          {"prompt_tokens_per_second", timings.prompt_tokens_per_second()},
          {"generated_tokens", timings.generated_tokens},
          {"generate_seconds", timings.generate_seconds},
          {"tokens_per_second", timings.generate_tokens_per_second()}};
}

Json piece_json(const Tokenizer* tokenizer, int32_t id) {
  return tokenizer != nullptr ? Json(tokenizer->piece(id)) : Json(nullptr);
}

Json logprobs_json(const Generation& generation, const Tokenizer* tokenizer) {
  Json list = Json::array();
  for (const SampledToken& token : generation.tokens) {
    Json top = Json::array();
    for (const TokenLogprob& other : token.top) {
      top.push_back({{"id", other.id},
                     {"piece", piece_json(tokenizer, other.id)},
                     {"logprob", other.logprob}});
    }
    list.push_back({{"id", token.id},
                    {"piece", piece_json(tokenizer, token.id)},
                    {"logprob", token.logprob},
                    {"top", top}});
  }
  return list;
}

std::string answer_json(const std::vector<int32_t>& prompt_ids, const Generation& generation,
                        const Options& options, const Tokenizer* tokenizer) {
  Json ids = Json::array();
  for (const SampledToken& token : generation.tokens) ids.push_back(token.id);
  Json out = {{"prompt_ids", prompt_ids},
              {"ids", ids},
              {"text", tokenizer != nullptr ? Json(generation.text) : Json(nullptr)},
              {"finish_reason", finish_reason_name(generation.finish_reason)},
              {"timings", timings_json(generation.timings)}};
  if (options.n_logprobs) out["logprobs"] = logprobs_json(generation, tokenizer);
  return out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

tl::unexpected<Error> with_hint_at_option(Error error) {
  if (error.code == ErrorCode::kTooLarge) error.message += " (--context makes room for more)";
  return tl::unexpected(std::move(error));
}

Status run(const Options& options, const AppContext& context) {
  GenerateOptions generate = generate_options(options.answer);
  generate.sampling.n_logprobs = options.n_logprobs;
  generate.ignore_end = options.ignore_end;
  MIXTRAL_TRY(GivenPrompt given, given_prompt(options, context));
  MIXTRAL_TRY(auto engine, load_engine(options.model, context));
  const Tokenizer* tokenizer = engine->tokenizer();
  MIXTRAL_TRY(const Prompt prompt, make_prompt(options, std::move(given), *engine, context));
  generate.strip_leading_space = prompt.strip_leading_space;

  const auto print = [&](const GeneratedToken& token) {
    if (options.json) return;
    write_out(tokenizer != nullptr ? token.text : fmt::format("{} ", token.token.id));
  };
  auto generated = engine->generate(prompt.ids, generate, print);
  if (!generated) return with_hint_at_option(std::move(generated).error());
  const Generation& generation = *generated;
  write_out(options.json ? answer_json(prompt.ids, generation, options, tokenizer) : "\n");
  context.note(dim(timing_line(generation.timings), stderr));
  return {};
}

constexpr const char* kHelp =
    R"(The prompt comes from the command line, --file, --ids, --ids-file or standard input. Where the model
has a chat template, the text is put to it as one message of a user; --raw continues the text itself.

Examples:
  mixtral generate "Name three rivers."
  mixtral generate --system "Answer in one word." --greedy < question.txt
  mixtral generate --raw "Once upon a time" -n 100 --temperature 1 --min-p 0.05 --seed 7
  mixtral generate --ids 1,733,16289 --greedy -n 32 --json)";

void add_prompt_options(CLI::App& command, Options& options) {
  auto* input = command.add_option_group("Prompt", "one of these, else standard input");
  input->add_option("PROMPT", options.prompt, "The prompt");
  input->add_option("--file", options.file, "Text file with the prompt; - is standard input")
      ->check(not_empty);
  auto* ids = input->add_option("--ids", options.ids, "Token ids as the prompt: 1,2,3");
  auto* ids_file = input->add_option("--ids-file", options.ids_file,
                                     "JSON file: [1, 2, 3] or {\"ids\": [1, 2, 3]}");
  input->require_option(0, 1);
  auto* raw =
      command.add_flag("--raw", options.raw, "Continue the text as it is, without chat template");
  // Where there is no turn of a user, nothing is told how to answer one.
  command.add_option("--system", options.system, "System text: how the model is to answer")
      ->excludes(raw, ids, ids_file);
  add_chat_template_option(command, options.chat_template)->excludes(raw, ids, ids_file);
}

}  // namespace

void add_generate_command(CLI::App& app, AppContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("generate", "Answer one prompt");
  command->footer(kHelp);
  add_model_option(*command, options->model);
  add_lora_option(*command, options->model);
  add_prompt_options(*command, *options);
  add_answer_options(*command, options->answer);
  command->add_flag("--ignore-end", options->ignore_end, "Go on after the end of the answer")
      ->group("Ending");
  auto* json = command->add_flag("--json", options->json, "Print one JSON object");
  add_number_option<size_t>(
      *command, "--logprobs", options->n_logprobs,
      "With --json: log-probabilities of the tokens and of N alternatives each", {})
      ->needs(json);
  add_compute_options(*command, options->model);
  add_speculation_options(*command, options->model);
  add_output_options(*command, context);
  command->callback([options, command, &context] {
    options->gives_prompt = command->count("PROMPT") > 0;
    options->gives_ids = command->count("--ids") + command->count("--ids-file") > 0;
    context.finish(run(*options, context));
  });
}

}  // namespace mixtral
