// `mixtral chat`: a dialogue in the terminal.
#include <fmt/format.h>
#include <langinfo.h>

#include <CLI/CLI.hpp>
#include <clocale>
#include <memory>

#include "answer_options.h"
#include "app_context.h"
#include "chat_session.h"
#include "commands.h"
#include "dialogue.h"
#include "interrupt.h"
#include "line_reader.h"
#include "model_options.h"
#include "remote_chat.h"
#include "terminal.h"

namespace mixtral {
namespace {

struct Options {
  ModelOptions model;
  AnswerOptions answer;
  std::string system, chat_template;
  std::string server, key;  ///< a server's address instead of a model
};

void greet(const Engine& engine, const AppContext& context) {
  const ModelConfig& config = engine.model().config();
  context.note(fmt::format("{}, {} parameters{}. /help lists the commands, Ctrl-D leaves.",
                           engine.checkpoint().architecture(), format_count(config.n_parameters()),
                           config.has_router()
                               ? fmt::format(", {} of {} experts per token",
                                             config.n_experts_per_token, config.n_experts)
                               : ""));
}

// Line editing reads characters in the way of the locale; systems without one mean UTF-8 today.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

// What one message leads to; false if the dialogue is over.
template <class Session>
Result<bool> react(Session& session, std::string_view text) {
  if (text.find_first_not_of(" \t\n") == std::string_view::npos) return true;
  if (text.starts_with('/') && !text.starts_with("//")) return session.command(text);
  MIXTRAL_TRY(session.say(text.starts_with("//") ? text.substr(1) : text));
  return true;
}

// To a person a failure is a line and the dialogue goes on; in a script it is the end.
template <class Session>
Status talk(Session& session, LineReader& reader) {
  const bool with_person = is_terminal(stdin);
  for (;;) {
    interrupted() = false;
    const Line message = read_message(reader, "> ");
    if (message.end == LineEnd::kEnd) return {};
    if (message.end == LineEnd::kInterrupted) {
      if (!with_person) return {};
      continue;
    }
    const Result<bool> goes_on = react(session, message.text);
    if (goes_on && !*goes_on) return {};
    if (goes_on) continue;
    if (!with_person) return tl::unexpected(goes_on.error());
    fmt::print(stderr, "{}\n", goes_on.error().message);
  }
}

Status run_remote(const Options& options, const AppContext& context) {
  MIXTRAL_TRY(const ServerUrl server, parse_server_url(options.server));
  MIXTRAL_TRY(const Json models, call_server_json({server, "GET", "/v1/models", "", options.key}));
  RemoteChat session(server, options.key, generate_options(options.answer), context);
  session.set_system(options.system);
  catch_interrupts();
  const auto reader = make_line_reader();
  if (is_terminal(stdin)) {
    const Json data = models.value("data", Json::array());
    context.note(fmt::format("{} at {}. /help lists the commands, Ctrl-D leaves.",
                             data.empty() ? "a model" : data[0].value("id", "a model"),
                             options.server));
  }
  return talk(session, *reader);
}

Status run(const Options& options, const AppContext& context) {
  use_utf8();
  if (!options.server.empty()) return run_remote(options, context);
  GenerateOptions generate = generate_options(options.answer);
  MIXTRAL_TRY(auto engine, load_engine(options.model, context));
  MIXTRAL_TRY(validate(generate.sampling, engine->model().config().vocab_size));
  const std::string& path = engine->checkpoint().path();
  if (engine->tokenizer() == nullptr) {
    return fail(ErrorCode::kNotFound, "{}: no tokenizer, so no dialogue", path);
  }
  auto chat_template = chat_template_of(options.chat_template, *engine->tokenizer());
  if (!chat_template) return with_context(std::move(chat_template).error(), path);
  ChatSession session(*engine, *std::move(chat_template), std::move(generate), context);
  session.set_system(options.system);
  catch_interrupts();
  const auto reader = make_line_reader();
  if (is_terminal(stdin)) greet(*engine, context);
  return talk(session, *reader);
}

constexpr const char* kHelp =
    R"(Ctrl-C stops an answer, Ctrl-D leaves; /help lists the commands inside. Away from a terminal every
line of standard input is a message. Answer number n is drawn with seed + n - 1.

Examples:
  mixtral chat
  mixtral chat -m mixtral-8x7b-instruct.Q4_K_M.gguf --system "Answer in French."
  printf 'Hello\nAnd now in verse\n' | mixtral chat -q)";

}  // namespace

void add_chat_command(CLI::App& app, AppContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("chat", "Talk to a model in the terminal");
  command->footer(kHelp);
  add_model_option(*command, options->model);
  add_lora_option(*command, options->model);
  command->add_option("--system", options->system, "System text: how the model is to answer");
  auto* chat_template = add_chat_template_option(*command, options->chat_template);
  command
      ->add_option("--server", options->server,
                   "Talk to the model of a server, http://HOST:PORT, instead")
      ->excludes("--model")
      ->excludes(chat_template);
  command->add_option("--api-key", options->key, "Key for that server")->needs("--server");
  add_answer_options(*command, options->answer);
  add_compute_options(*command, options->model);
  add_speculation_options(*command, options->model);
  add_output_options(*command, context);
  command->callback([options, &context] { context.finish(run(*options, context)); });
}

}  // namespace mixtral
