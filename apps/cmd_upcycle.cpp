// `mixtral upcycle`: a dense model becomes a mixture of experts that gives the same answers.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <vector>

#include "app_context.h"
#include "commands.h"
#include "convert/compare_models.h"
#include "convert/upcycle.h"
#include "convert/write_model.h"
#include "core/rng.h"
#include "cpu/cpu_backend.h"
#include "machine.h"
#include "number_option.h"
#include "terminal.h"
#include "text/tokenizer.h"
#include "token_ids.h"

namespace mixtral {
namespace {

constexpr size_t kMaxCheckTokens = 512;
constexpr size_t kRandomCheckTokens = 64;

constexpr const char* kCheckText =
    R"(The lighthouse stood at the end of a long stone pier. Every evening the keeper climbed its hundred and twelve steps, wiped the salt from the glass, and lit the lamp before the first boats came home.

In 1874 a storm broke the pier in two. For three weeks food was rowed across in a small boat, and letters were sent by pigeon: "All is well here. Please send oil, flour and, if there is any, tobacco."

Water boils at 100 degrees Celsius at sea level, but on a high mountain it boils sooner, because the air presses on it less. A pot of potatoes at 3,000 metres therefore needs more time, not less.

for (int i = 0; i < n; ++i) total += price[i] * count[i];
)";

struct Arguments {
  std::string model, out, check_text;
  UpcycleOptions options;
  bool force = false, no_check = false;
};

std::vector<int32_t> random_ids(uint64_t seed, size_t vocab_size) {
  Rng rng(seed);
  std::vector<int32_t> ids(kRandomCheckTokens);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(vocab_size));
  return ids;
}

/// nullptr also for a tokenizer of an unknown kind: upcycling need not understand it.
Result<std::unique_ptr<Tokenizer>> load_tokenizer(const std::string& path) {
  auto tokenizer = Tokenizer::load(path);
  if (!tokenizer && tokenizer.error().code == ErrorCode::kUnsupported) return nullptr;
  return tokenizer;
}

/// The tokens to compare the models over: of the text given, else of our own, else random ones.
Result<std::vector<int32_t>> check_ids(const Arguments& arguments, const ModelConfig& config) {
  MIXTRAL_TRY(const auto tokenizer, load_tokenizer(arguments.model));
  if (tokenizer == nullptr) {
    if (arguments.check_text.empty()) return random_ids(arguments.options.seed, config.vocab_size);
    return fail(ErrorCode::kBadInput, "{}: no tokenizer to read --check-text with",
                arguments.model);
  }
  std::string text = kCheckText;
  if (!arguments.check_text.empty()) {
    MIXTRAL_TRY(text, read_text(arguments.check_text));
  }
  std::vector<int32_t> ids = tokenizer->encode(text);
  if (ids.empty())
    return fail(ErrorCode::kBadInput, "{}: no text to check with", arguments.check_text);
  if (tokenizer->adds_bos()) ids.insert(ids.begin(), *tokenizer->bos_id());
  ids.resize(std::min({ids.size(), kMaxCheckTokens, config.context_len}));
  return ids;
}

Result<std::unique_ptr<Backend>> exact_backend() {
  CpuBackendOptions options;
  options.exact = true;
  return make_cpu_backend(options);
}

/// Said before the work is done, not after it: the proof loads the new model whole.
Status check_memory_for_proof(const ModelSource& sparse) {
  MIXTRAL_TRY(const auto backend, exact_backend());
  uint64_t needed = 0;
  for (const WeightId id : all_weights(sparse.config))
    needed += backend->weight_bytes(*sparse.weight(id));
  const uint64_t available = available_memory_bytes();
  if (available == 0 || needed <= available) return {};
  return fail(ErrorCode::kTooLarge,
              "comparing the models afterwards takes {} of memory, but {} are free (--no-check "
              "leaves it out)",
              format_bytes(needed), format_bytes(available));
}

Status prove(const Arguments& arguments, const Checkpoint& dense, std::span<const int32_t> ids,
             const AppContext& context) {
  MIXTRAL_TRY(const Checkpoint sparse, Checkpoint::open(arguments.out));
  const auto make_backend = [] { return exact_backend(); };
  const auto progress = context.make_progress();
  MIXTRAL_TRY(const ModelComparison comparison,
              compare_models(dense, sparse, ids, make_backend, progress.get()));
  context.note(
      fmt::format("Proof over {} tokens: largest logit difference {:.2g} (largest logit {:.1f}), "
                  "same best token at {} of {} positions",
                  comparison.n_positions, comparison.largest_difference, comparison.largest_logit,
                  comparison.n_same_best, comparison.n_positions));
  if (comparison.same_function()) return {};
  return fail(ErrorCode::kDevice, "{}: does not compute the same function as {}", arguments.out,
              arguments.model);
}

Status run(const Arguments& arguments, const AppContext& context) {
  MIXTRAL_TRY(const Checkpoint dense, as_input(Checkpoint::open(arguments.model)));
  for (const std::string& warning : dense.warnings()) context.warn(warning);
  MIXTRAL_TRY(const auto ids, as_input(check_ids(arguments, dense.config())));
  MIXTRAL_TRY(ModelSource source, as_input(model_source(dense)));
  auto sparse = upcycle(std::move(source), arguments.options);
  if (!sparse) return with_context(std::move(sparse).error(), arguments.model);
  if (!arguments.no_check) MIXTRAL_TRY(check_memory_for_proof(*sparse));
  WriteOptions options;
  options.replace = arguments.force;
  MIXTRAL_TRY(const WriteReport report,
              write_model(*sparse, format_of_path(arguments.out), arguments.out, options,
                          context.make_progress().get()));
  for (const std::string& note : report.notes) context.note(note);
  const ModelConfig& config = sparse->config;
  context.note(
      fmt::format("{}: {} experts, {} per token; {} parameters, {} active; {}", arguments.out,
                  config.n_experts, config.n_experts_per_token, format_count(config.n_parameters()),
                  format_count(config.n_active_parameters()), format_bytes(report.n_bytes)));
  if (arguments.no_check) return {};
  return prove(arguments, dense, ids, context);
}

constexpr const char* kFooter =
    R"(Every expert is an exact copy of the dense feed-forward block, and the
chosen experts' weights sum to one, so the new model gives the same answers; training can then make
the experts differ. A name that ends in .gguf gives a GGUF file, any other a Hugging Face folder.

Example:
  mixtral upcycle -m dense.gguf -o experts.gguf --experts 8 --experts-per-token 2)";

}  // namespace

void add_upcycle_command(CLI::App& app, AppContext& context) {
  CLI::App* command = app.add_subcommand("upcycle", "Make a mixture of experts of a dense model");
  const auto arguments = std::make_shared<Arguments>();
  UpcycleOptions& options = arguments->options;
  command->add_option("-m,--model", arguments->model, "Dense Llama or Mistral checkpoint")
      ->required()
      ->check(not_empty);
  command->add_option("-o,--out", arguments->out, "Where to write the new one")
      ->required()
      ->check(not_empty);
  add_shown_number_option(*command, "--experts", options.n_experts, "Experts per layer",
                          {.smallest = 1});
  add_shown_number_option(*command, "--experts-per-token", options.n_experts_per_token,
                          "Experts that each token is sent to", {.smallest = 1});
  add_shown_number_option(*command, "--seed", options.seed, "Of the random routers", {});
  add_shown_number_option(*command, "--router-std", options.router_std,
                          "Standard deviation of the routers' weights", {.smallest = 0});
  command->add_option("--check-text", arguments->check_text,
                      "Text file to compare both models over (default: a built-in text)");
  command->add_flag("--no-check", arguments->no_check, "Do not compare the models afterwards");
  command->add_flag("--force", arguments->force, "Replace what is at --out");
  add_output_options(*command, context);
  command->footer(kFooter);
  command->callback([arguments, &context] { context.finish(run(*arguments, context)); });
}

}  // namespace mixtral
