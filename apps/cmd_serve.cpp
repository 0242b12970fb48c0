// `mixtral serve`: a model for HTTP clients and people with a browser.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>

#include "app_context.h"
#include "commands.h"
#include "configuration.h"
#include "dialogue.h"
#include "interrupt.h"
#include "model_options.h"
#include "number_option.h"
#include "served_engine.h"
#include "server/api.h"
#include "server/http_server.h"
#include "terminal.h"
#include "token_ids.h"

namespace mixtral {
namespace {

struct Options {
  ModelOptions model;
  ServedNames names;
  std::vector<std::string> loras;
  std::vector<std::string> hosts = {"127.0.0.1"};
  uint16_t port = 8080;
  std::string unix_path, tls_cert, tls_key;
  std::vector<std::string> keys, origins;
  std::string key_file;
  ApiOptions api;
  std::string log_format = "none";
  size_t n_threads_http = 2, max_connections = 4096, max_body_mib = 32;
  size_t max_sequences = 64, max_waiting = 32, cache_mib = 0;
  bool print_config = false, no_page = false;
  double grace_seconds = 60, idle_seconds = 75;
};

Result<ApiKeys> api_keys(const Options& options) {
  std::vector<std::string> keys = options.keys;
  if (!options.key_file.empty()) {
    MIXTRAL_TRY(const std::string text, read_text(options.key_file));
    for (std::string& key : parse_api_keys(text)) keys.push_back(std::move(key));
    if (keys.empty()) return fail(ErrorCode::kBadInput, "{}: no keys in it", options.key_file);
  }
  if (std::find(keys.begin(), keys.end(), "") != keys.end())
    return fail(ErrorCode::kBadInput, "--api-key: a key is empty, so that no client could show it");
  return ApiKeys(std::move(keys));
}

std::string log_line(std::string_view json, bool as_json) {
  if (as_json) return fmt::format("{}\n", json);
  const auto fields = parse_json(json, "log");
  if (!fields) return {};
  std::string line;
  for (const auto& [key, value] : fields->items()) {
    line += fmt::format("{}{}", line.empty() ? "" : " ",
                        value.is_string() ? value.get<std::string>() : value.dump());
  }
  return line + "\n";
}

HttpServerOptions http_options(const Options& options) {
  HttpServerOptions http;
  for (const std::string& host : options.hosts) http.addresses.push_back({host, options.port, ""});
  if (!options.unix_path.empty()) http.addresses.push_back({"", 0, options.unix_path});
  http.tls_cert = options.tls_cert;
  http.tls_key = options.tls_key;
  http.n_threads = options.n_threads_http;
  http.max_connections = options.max_connections;
  http.connection.http.body_bytes = options.max_body_mib << 20;
  http.connection.idle =
      std::chrono::milliseconds(static_cast<int64_t>(options.idle_seconds * 1e3));
  return http;
}

// Each connection is a descriptor, and systems give a process few to begin with.
void allow_many_connections() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Connections, requests and the answers on their way take memory besides what the engine plans:
// docs/reliability.md has what was measured.
void keep_memory_for_clients(uint64_t& limit_bytes, size_t max_connections) {
  constexpr uint64_t kFixedBytes = uint64_t{4} << 20, kConnectionBytes = uint64_t{16} << 10;
  const uint64_t kept = kFixedBytes + max_connections * kConnectionBytes;
  if (limit_bytes > 0) limit_bytes = limit_bytes > kept ? limit_bytes - kept : 1;  // 0: unknown
}

// The first signal lets running answers end, the second does not.
Status wait_for_the_end(HttpServer& server, Api& api, const Options& options,
                        const AppContext& context) {
  constexpr std::chrono::milliseconds kTick{20}, kLong{3'600'000};
  while (wait_for_end_signals(0, kLong) == 0) {
  }
  context.note("Running answers are finished, new ones refused; a second signal stops at once.");
  api.drain();
  server.drain();
  const auto give_up =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(options.grace_seconds);
  while (server.n_requests() > 0) {
    if (wait_for_end_signals(1, kTick) > 1)
      return fail(ErrorCode::kCancelled, "stopped while answers were running");
    if (std::chrono::steady_clock::now() > give_up)
      return fail(ErrorCode::kCancelled, "answers did not end in {} seconds",
                  options.grace_seconds);
  }
  return {};
}

Status run(Options& options, const AppContext& context) {
  MIXTRAL_TRY(options.api.keys, api_keys(options));
  options.api.origins = AllowedOrigins(options.origins);
  options.api.version = MIXTRAL_VERSION;
  options.api.page = !options.no_page;
  options.api.max_answers = std::min(options.api.max_answers, options.max_sequences);
  if (options.log_format != "none") {
    options.api.log = [as_json = options.log_format == "json"](std::string_view line) {
      const std::string text = log_line(line, as_json);
      std::fwrite(text.data(), 1, text.size(), stderr);
    };
  }
  EngineOptions engine_setting = engine_options(options.model);
  engine_setting.max_sequences = options.max_sequences;
  engine_setting.max_waiting = options.max_waiting;
  engine_setting.kv_bytes = options.cache_mib << 20;
  keep_memory_for_clients(engine_setting.memory_limit_bytes, options.max_connections);
  for (const std::string& lora : options.loras)
    engine_setting.adapters.push_back(adapter_option(lora));
  // Each outlives what comes after it. The server listens first: an address that cannot be used is
  // told before minutes of loading, and who asks meanwhile learns what the matter is.
  std::unique_ptr<Engine> engine;
  std::optional<Api> api;
  ApiDoor door;
  allow_many_connections();
  MIXTRAL_TRY(auto server, HttpServer::listen(
                               http_options(options),
                               [&door](HttpRequest request, std::shared_ptr<Exchange> exchange) {
                                 door.handle(std::move(request), std::move(exchange));
                               },
                               [&door](const HttpParseError& error) {
                                 return door.bad_request_response(error);
                               }));
  server->start();
  MIXTRAL_TRY(engine, load_engine(options.model, engine_setting, context));
  MIXTRAL_TRY(ServedModel model, served_model(*engine, options.names));
  if (!model.chat_template) context.warn(fmt::format("no chat: {}", model.why_no_chat));
  const std::string id = model.id;
  api.emplace(std::move(model), options.api);
  door.open(*api);
  count_end_signals();
  for (const std::string& address : server->addresses())
    write_out(fmt::format("{} at {}\n", id, address));
  std::fflush(stdout);
  const Status ended = wait_for_the_end(*server, *api, options, context);
  server->stop();
  return ended;
}

constexpr const char* kHelp =
    R"(Speaks the protocols of OpenAI's and Mistral's clients; a browser gets a page to chat on. SIGTERM or
Ctrl-C lets running answers end, a second one does not.

Examples:
  mixtral serve
  mixtral serve -m Mixtral-8x7B-Instruct/ --host 0.0.0.0 --api-key-file keys.txt
  curl http://127.0.0.1:8080/v1/chat/completions -d '{"messages": [{"role": "user", "content": "Hi"}]}')";

void add_address_options(CLI::App& command, Options& options) {
  command
      .add_option("--host", options.hosts,
                  "Address to listen on, or a name that stands for some; may be repeated (default: "
                  "127.0.0.1)")
      ->allow_extra_args(false)
      ->group("Addresses");
  add_shown_number_option<uint16_t>(command, "--port", options.port, "Port; 0: any that is free",
                                    {.smallest = 0})
      ->group("Addresses");
  command.add_option("--unix", options.unix_path, "Unix socket to listen on too")
      ->group("Addresses");
  command.add_option("--tls-cert", options.tls_cert, "PEM file: certificate chain, for HTTPS")
      ->group("Addresses");
  command.add_option("--tls-key", options.tls_key, "PEM file: its private key")->group("Addresses");
  command.add_option("--path-prefix", options.api.path_prefix, "Text before every path: /llm")
      ->group("Addresses");
}

void add_access_options(CLI::App& command, Options& options) {
  command.add_option("--api-key", options.keys, "Key that clients must show; may be repeated")
      ->allow_extra_args(false)
      ->group("Access");
  command.add_option("--api-key-file", options.key_file, "File with one key a line")
      ->group("Access");
  command
      .add_option("--cors", options.origins,
                  "Origin whose pages may use the server, or *; may be repeated (default: this "
                  "machine's)")
      ->allow_extra_args(false)
      ->group("Access");
  command.add_flag("--open-metrics", options.api.open_metrics, "/metrics without a key")
      ->group("Access");
  command.add_flag("--no-page", options.no_page, "No web page")->group("Access");
}

void add_answering_options(CLI::App& command, Options& options) {
  command.add_option("--id", options.names.id, "The model's name (default: from its path)")
      ->group("Answering");
  command.add_option("--alias", options.names.aliases, "Another name for it; may be repeated")
      ->allow_extra_args(false)
      ->group("Answering");
  command
      .add_option("--lora", options.loras,
                  std::string(kLoraHelp) + "; a model of its own, ID:NAME; may be repeated")
      ->check(not_empty)
      ->allow_extra_args(false)
      ->group("Answering");
  command
      .add_flag("--accept-any-model", options.api.accept_any_model,
                "Answer whatever model a request names")
      ->group("Answering");
  command.add_flag("--strict", options.api.strict, "Refuse unknown fields")->group("Answering");
  command
      .add_flag("--completions-force-bos", options.api.force_bos,
                "Completions of token ids: begin with a BOS that is not shown")
      ->group("Answering");
  command
      .add_flag("--tool-emulation", options.api.tool_emulation,
                "Tools for a model that was not trained to call any")
      ->group("Answering");
  add_shown_number_option<double>(command, "--temperature", options.api.chat_temperature,
                                  "Of chat answers whose request says nothing",
                                  {.smallest = 0, .largest = 2})
      ->group("Answering");
  add_chat_template_option(command, options.names.chat_template)->group("Answering");
}

void add_limit_options(CLI::App& command, Options& options) {
  add_shown_number_option<size_t>(command, "--parallel", options.max_sequences, "Answers at a time",
                                  {.smallest = 1, .largest = 4096})
      ->group("Limits");
  add_shown_number_option<size_t>(command, "--max-waiting", options.max_waiting,
                                  "Answers that may wait for their turn; further ones get 429",
                                  {.smallest = 0, .largest = 1'000'000})
      ->group("Limits");
  add_number_option<size_t>(command, "--max-per-client", options.api.max_per_client,
                            "Requests in progress of one key or address (default: any number)",
                            {.smallest = 1, .largest = 1'000'000})
      ->group("Limits");
  add_number_option<size_t>(command, "--cache", options.cache_mib,
                            "MiB for keys and values (default: by the model and the memory)",
                            {.smallest = 1, .largest = size_t{1} << 24})
      ->group("Limits");
  add_shown_number_option<size_t>(command, "--http-threads", options.n_threads_http,
                                  "Threads for HTTP", {.smallest = 1, .largest = 64})
      ->group("Limits");
  add_shown_number_option<size_t>(command, "--max-connections", options.max_connections,
                                  "Connections at a time", {.smallest = 1, .largest = 1'000'000})
      ->group("Limits");
  add_shown_number_option<size_t>(command, "--max-body", options.max_body_mib, "MiB of a request",
                                  {.smallest = 1, .largest = 1024})
      ->group("Limits");
  add_shown_number_option<double>(command, "--idle", options.idle_seconds,
                                  "Seconds that a connection may do nothing",
                                  {.smallest = 0.1, .largest = 86400})
      ->group("Limits");
  add_shown_number_option<double>(command, "--grace", options.grace_seconds,
                                  "Seconds that running answers have after the first signal",
                                  {.smallest = 0, .largest = 86400})
      ->group("Limits");
}

}  // namespace

void add_serve_command(CLI::App& app, AppContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("serve", "Answer over HTTP, for clients and browsers");
  command->footer(kHelp);
  add_model_option(*command, options->model);
  add_address_options(*command, *options);
  add_access_options(*command, *options);
  add_answering_options(*command, *options);
  add_limit_options(*command, *options);
  command
      ->add_option("--log-format", options->log_format,
                   "A line for each request: none, text or json")
      ->check(CLI::IsMember({"none", "text", "json"}))
      ->capture_default_str();
  add_compute_options(*command, options->model);
  add_speculation_options(*command, options->model);
  add_output_options(*command, context);
  command->add_flag("--print-config", options->print_config,
                    "Print all options as a file for --config, and end");
  add_configuration(*command);
  command->callback([options, command, &context] {
    if (options->print_config) return write_out(configuration_text(*command));
    context.finish(run(*options, context));
  });
}

}  // namespace mixtral
