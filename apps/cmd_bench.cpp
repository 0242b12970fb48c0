// `mixtral bench`: how fast a model reads and writes here, and how far that is from what the
// machine can do.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <deque>
#include <filesystem>
#include <memory>

#include "app_context.h"
#include "bench_model.h"
#include "bench_report.h"
#include "bench_serve.h"
#include "bench_speculation.h"
#include "commands.h"
#include "core/cpu_features.h"
#include "core/progress_task.h"
#include "core/thread_pool.h"
#include "model_options.h"
#include "number_option.h"
#include "terminal.h"

namespace mixtral {
namespace {

constexpr size_t kMany = size_t{1} << 20, kMaxStreams = 4096;

struct BenchOptions {
  std::vector<std::string> models;
  std::string isa;
  std::vector<std::string> kv_types = {"f16"};
  std::vector<size_t> prefill, decode, mixed, batches = {1}, depths = {0}, threads = {0};
  std::vector<std::string> serve;  // "16x32x64"
  std::vector<double> rates = {0};
  std::vector<size_t> shared_prefixes = {0}, intruders = {0};
  size_t kv_positions = 0;
  size_t chunk_tokens = 512, n_repeats = 3, n_copied = 0;
  std::string draft;
  bool routing = false, machine = false, json = false, csv = false;
};

std::vector<BenchCase> cases_of(const BenchOptions& options) {
  std::vector<BenchCase> cases;
  for (const size_t depth : options.depths) {
    for (const size_t n : options.prefill) cases.push_back({BenchTest::kPrefill, n, 1, depth});
    for (const size_t batch : options.batches) {
      for (const size_t n : options.decode) cases.push_back({BenchTest::kDecode, n, batch, depth});
      for (const size_t n : options.mixed) cases.push_back({BenchTest::kMixed, n, batch, depth});
    }
  }
  return cases;
}

// "STREAMSxPROMPTxANSWER", three numbers above 0; nullopt for anything else.
std::optional<ServeCase> serve_case(std::string_view text) {
  std::vector<size_t> numbers;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('x', begin), text.size());
    const auto number = parse_number<size_t>(text.substr(begin, end - begin));
    if (!number || *number == 0 || *number > kMany) return std::nullopt;
    numbers.push_back(*number);
    begin = end + 1;
  }
  if (numbers.size() != 3 || numbers[0] > kMaxStreams) return std::nullopt;
  return ServeCase{
      .n_streams = numbers[0], .prompt_tokens = numbers[1], .answer_tokens = numbers[2]};
}

Result<std::vector<ServeCase>> serve_cases(const BenchOptions& options) {
  std::vector<ServeCase> cases;
  for (const std::string& text : options.serve) {
    for (const size_t shared : options.shared_prefixes) {
      for (const double rate : options.rates) {
        for (const size_t intruder : options.intruders) {
          ServeCase test = *serve_case(text);
          if (shared > test.prompt_tokens) {
            return fail(
                ErrorCode::kBadInput,
                "--shared-prefix {}: expected at most the {} tokens of the prompts of --serve {}",
                shared, test.prompt_tokens, text);
          }
          test.shared_prefix = shared;
          test.rate = rate;
          test.intruder_tokens = intruder;
          cases.push_back(test);
          test.routing = true;
          if (options.routing) cases.push_back(test);
        }
      }
    }
  }
  return cases;
}

BenchMachine measure(const BenchOptions& options, size_t n_threads) {
  const Isa isa = options.isa.empty() ? best_isa() : *isa_from_name(options.isa);
  const size_t n = n_threads == 0 ? usable_cpus() : n_threads;
  return {cpu_model_name(), isa_name(isa), n, measure_machine_limits(n, isa)};
}

// All cases of one model with one type of cache on one number of threads. Their runs take turns, so
// that a machine that is busy for a while slows all of them down and not one.
Status run_cases(const BenchOptions& options, const ModelOptions& model_options,
                 const BenchMachine& machine, const AppContext& context,
                 std::vector<BenchResult>& results) {
  const std::vector<BenchCase> cases = cases_of(options);
  if (cases.empty()) return {};
  const std::string& path = model_options.path;
  MIXTRAL_TRY(auto backend, make_backend(model_options));
  const std::string_view kv_type = kv_type_name(backend->kv_type());
  const auto progress = context.make_progress();
  MIXTRAL_TRY(auto model, as_input(BenchModel::load(path, std::move(backend), cases,
                                                    options.chunk_tokens, progress.get())));
  const size_t first = results.size();
  const std::string name = std::filesystem::path(path).filename().string();
  for (const BenchCase& test : cases) results.push_back({name, kv_type, test, &machine, {}, {}});

  const size_t n_runs = cases.size() * (options.n_repeats + 1);
  ProgressTask measured(progress.get(), "measuring " + name, n_runs, "runs");
  for (size_t i = 0; i < n_runs; ++i) {
    BenchResult& result = results[first + i % cases.size()];
    const bool warm_up = i < cases.size();
    MIXTRAL_TRY(const BenchRun run, model->run(result.test, machine.limits, warm_up));
    if (warm_up) {
      result.work = run.work;
    } else {
      result.seconds.push_back(run.seconds);
    }
    measured.add(1);
  }
  return {};
}

// The same for what callers see.
Status run_serve(const BenchOptions& options, const ModelOptions& model_options,
                 const std::vector<ServeCase>& cases, const AppContext& context,
                 std::vector<ServeResult>& results) {
  if (cases.empty()) return {};
  MIXTRAL_TRY(auto backend, make_backend(model_options));
  const std::string_view kv_type = kv_type_name(backend->kv_type());
  const auto progress = context.make_progress();
  const ServeSetting setting = {options.chunk_tokens, options.kv_positions};
  MIXTRAL_TRY(auto server, as_input(BenchServer::load(model_options.path, std::move(backend), cases,
                                                      setting, progress.get())));
  const std::string name = std::filesystem::path(model_options.path).filename().string();
  const size_t n_runs = cases.size() * (options.n_repeats + 1);
  ProgressTask measured(progress.get(), "serving " + name, n_runs, "runs");
  const size_t first = results.size();
  for (size_t i = 0; i < n_runs; ++i) {
    const size_t at = first + i % cases.size();
    if (i < cases.size()) {
      ServeResult result;
      result.model = name;
      result.kv_type = kv_type;
      result.n_threads = model_options.n_threads;
      result.test = cases[i];
      ServeResult warm_up = result;
      MIXTRAL_TRY(server->run(warm_up));
      results.push_back(std::move(result));
    } else {
      MIXTRAL_TRY(server->run(results[at]));
    }
    measured.add(1);
  }
  return {};
}

void write_results(const BenchOptions& options, const std::deque<BenchMachine>& machines,
                   const std::vector<BenchResult>& results, const std::vector<ServeResult>& served,
                   const std::vector<SpeculationResult>& speculation) {
  if (options.json) {
    Json out = {{"machine", machine_json(machines.front())}, {"results", Json::array()}};
    for (const BenchResult& result : results) out["results"].push_back(result_json(result));
    for (const ServeResult& result : served) out["serve"].push_back(serve_json(result));
    for (const auto& result : speculation) out["speculation"].push_back(speculation_json(result));
    if (machines.size() > 1) {
      for (const BenchMachine& machine : machines) out["machines"].push_back(machine_json(machine));
    }
    write_out(out.dump() + "\n");
    return;
  }
  if (options.csv) return write_out(served.empty() ? results_csv(results) : serve_csv(served));
  std::string out;
  for (const BenchMachine& machine : machines) out += machine_text(machine);
  if (!results.empty()) out += "\n" + results_table(results);
  if (!served.empty()) out += "\n" + serve_table(served);
  if (!speculation.empty()) out += "\n" + speculation_text(speculation);
  write_out(out);
}

Status run(BenchOptions options, const AppContext& context) {
  ModelOptions model;
  model.isa = options.isa;
  model.n_threads = 1;
  model.speculation = "ngram";
  model.draft = options.draft;
  MIXTRAL_TRY(make_backend(model));  // before anything is measured: is there such a set here?
  if (options.models.empty() && !options.machine) {
    MIXTRAL_TRY(const std::string path, model_path({}));
    options.models.push_back(path);
  }
  MIXTRAL_TRY(const std::vector<ServeCase> serve, serve_cases(options));
  const bool no_steps = options.prefill.empty() && options.decode.empty() && options.mixed.empty();
  if (options.csv && !no_steps && !serve.empty()) {
    return fail(
        ErrorCode::kBadInput,
        "--csv: the columns of --serve are not those of other tests: ask for one or the other");
  }
  if (no_steps && serve.empty() && options.n_copied == 0) {
    options.prefill = {512};
    options.decode = {48};
  }
  std::deque<BenchMachine> machines;  // results point into it
  for (const size_t n : options.threads) machines.push_back(measure(options, n));
  std::vector<BenchResult> results;
  std::vector<ServeResult> served;
  std::vector<SpeculationResult> speculation;
  for (const std::string& path : options.models) {
    for (const std::string& kv_type : options.kv_types) {
      for (const BenchMachine& machine : machines) {
        model.path = path;
        model.kv_type = kv_type;
        model.n_threads = machine.n_threads;
        if (!cases_of(options).empty()) {
          MIXTRAL_TRY(run_cases(options, model, machine, context, results));
        }
        MIXTRAL_TRY(run_serve(options, model, serve, context, served));
        if (options.n_copied == 0) continue;
        MIXTRAL_TRY(measure_speculation({options.n_copied, options.n_repeats}, model, context,
                                        speculation));
      }
    }
  }
  write_results(options, machines, results, served, speculation);
  return {};
}

constexpr const char* kHelp =
    R"(Lists are separated by commas; every combination is measured. Decoding a batch, tokens per second
are those of all its sequences together. Each line also says how much was read and multiplied per
second, and how much of the machine's measured limits that is. Each run is repeated, in turn with all
others, after one that does not count; the median is shown.

Examples:
  mixtral bench                                          the default model
  mixtral bench -m model.gguf --prefill 512 --decode 48 --batch 1,16 --depth 0,8192
  mixtral bench -m a.gguf -m b.gguf --decode 32 --threads 1,2 --json
  mixtral bench --serve 16x32x64 --shared-prefix 0,16    sixteen callers at once
  mixtral bench --serve 8x100x200 --rate 2.5 --intruder 4000
  mixtral bench --machine                                only what the machine can do)";

void add_test_options(CLI::App& command, BenchOptions& options) {
  const auto list = [&](const char* name, std::vector<size_t>& values, const char* help,
                        size_t smallest, size_t largest) {
    add_numbers_option<size_t>(command, name, values, help,
                               {.smallest = smallest, .largest = largest})
        ->group("Tests");
  };
  list("--prefill", options.prefill, "Read a prompt of N tokens", 1, kMany);
  list("--decode", options.decode, "Write N tokens, one at a time", 1, kMany);
  list("--mixed", options.mixed, "One step: read N tokens while the batch writes one each", 1,
       kMany);
  command
      .add_option("--serve", options.serve,
                  "Requests of many callers: STREAMSxPROMPTxANSWER, tokens each, as 16x32x64")
      ->delimiter(',')
      ->check([](const std::string& text) {
        return serve_case(text) ? "" : "expected STREAMSxPROMPTxANSWER, such as 16x32x64: " + text;
      })
      ->group("Tests");
  list("--batch", options.batches, "Sequences that write at once (default: 1)", 1, 4096);
  list("--depth", options.depths, "Positions that each sequence has behind it (default: 0)", 0,
       kMany);
  list("--threads", options.threads, "Worker threads (default: one per CPU)", 1, 1024);
  command.add_option("--kv-type", options.kv_types, "Types of the cache's numbers (default: f16)")
      ->delimiter(',')
      ->check(CLI::IsMember(kKvTypeNames))
      ->group("Tests");
  add_shown_number_option<size_t>(command, "--chunk", options.chunk_tokens,
                                  "Tokens of a prompt that one step reads",
                                  {.smallest = 1, .largest = kMany})
      ->group("Tests");
  add_number_option<size_t>(
      command, "--copy", options.n_copied,
      "Copy a text, and write a new one, N tokens each, with and without --speculate ngram",
      {.smallest = 2, .largest = 1024})
      ->group("Tests");
  command.add_option("--draft", options.draft, "With --copy: a draft model instead of ngram")
      ->group("Tests");
  add_shown_number_option<size_t>(command, "--repeat", options.n_repeats, "Runs of each test",
                                  {.smallest = 1, .largest = 1000})
      ->group("Tests");
}

void add_serve_options(CLI::App& command, BenchOptions& options) {
  add_numbers_option<size_t>(command, "--shared-prefix", options.shared_prefixes,
                             "Tokens that all prompts begin with (default: 0)",
                             {.smallest = 0, .largest = kMany})
      ->group("Serving");
  add_numbers_option<double>(command, "--rate", options.rates,
                             "Requests that come per second (default: 0, all at once)",
                             {.smallest = 0, .largest = 1e6})
      ->group("Serving");
  add_numbers_option<size_t>(
      command, "--intruder", options.intruders,
      "A prompt of N tokens comes while the others answer (default: 0, none)",
      {.smallest = 0, .largest = kMany})
      ->group("Serving");
  command
      .add_flag("--routing", options.routing,
                "Everything twice: without, and with the experts of every token in the streams")
      ->group("Serving");
  add_number_option<size_t>(
      command, "--kv-positions", options.kv_positions,
      "Positions that the cache has room for (default: all that a test can use)",
      {.smallest = 1, .largest = size_t{1} << 30})
      ->group("Serving");
}

}  // namespace

void add_bench_command(CLI::App& app, AppContext& context) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "Measure speed against the machine's limits");
  command->footer(kHelp);
  command->add_option("-m,--model", options->models,
                      "GGUF file, packed model, or folder with safetensors; may be repeated "
                      "(default: the default model)");
  add_test_options(*command, *options);
  add_serve_options(*command, *options);
  command->add_option("--isa", options->isa, "Instruction set (default: the best)")
      ->check(CLI::IsMember({"scalar", "avx2", "avx512", "amx"}));
  command->add_flag("--machine", options->machine, "Without a model: only the machine's limits");
  auto* json = command->add_flag("--json", options->json, "Print one JSON object");
  command->add_flag("--csv", options->csv, "Print comma-separated values")->excludes(json);
  add_output_options(*command, context);
  command->callback([options, &context] { context.finish(run(*options, context)); });
}

}  // namespace mixtral
