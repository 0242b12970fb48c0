#include "model_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

#include "core/cpu_features.h"
#include "cpu/cpu_backend.h"
#include "kernel_list.h"
#include "machine.h"
#include "number_option.h"
#include "ops/reference.h"
#include "user_folders.h"

namespace mixtral {
namespace {

constexpr size_t kMaxThreads = 1024;

void note_kernels(const Engine& engine, const AppContext& context) {
  KernelList kernels;
  for (const WeightId id : all_weights(engine.checkpoint().config())) {
    kernels.add(id.role, engine.model().weight(id));
  }
  for (const std::string& line : kernels.lines()) context.note(line);
}

}  // namespace

void add_model_option(CLI::App& command, ModelOptions& options, const std::string& description) {
  command.add_option("-m,--model", options.path, description)->check(not_empty);
}

void warn_about_context(size_t context_len, const ModelConfig& config, const AppContext& context) {
  if (context_len <= config.context_len) return;
  context.warn(fmt::format(
      "a context of {} positions, but the model was made for {}: answers may get worse beyond",
      context_len, config.context_len));
}

CLI::Option* add_threads_option(CLI::App& command, size_t& n_threads) {
  return add_number_option<size_t>(command, "--threads", n_threads,
                                   "Worker threads (default: one per CPU)",
                                   {.smallest = 1, .largest = kMaxThreads});
}

void add_device_options(CLI::App& command, ModelOptions& options) {
  add_threads_option(command, options.n_threads)->group("Computing");
  command
      .add_option("--backend", options.backend, "What computes: cpu, or the slow plain reference")
      ->check(CLI::IsMember({"reference", "cpu"}))
      ->capture_default_str()
      ->group("Computing");
  command
      .add_option("--isa", options.isa, "Instruction set of the cpu backend (default: the best)")
      ->check(CLI::IsMember({"scalar", "avx2", "avx512", "amx"}))
      ->group("Computing");
  command.add_flag("--exact", options.exact, "f32 activations and cache, weights widened; slower")
      ->group("Computing");
  command.add_option("--kv-type", options.kv_type, "Type of the cache's numbers (default: f16)")
      ->check(CLI::IsMember(kKvTypeNames))
      ->group("Computing");
}

void add_compute_options(CLI::App& command, ModelOptions& options) {
  add_device_options(command, options);
  add_number_option<size_t>(command, "--context", options.context_len,
                            "Positions to have room for (default: the model's own)",
                            {.smallest = 1, .largest = kMaxContext})
      ->group("Computing");
}

void add_lora_option(CLI::App& command, ModelOptions& options) {
  command.add_option("--lora", options.lora, kLoraHelp)->check(not_empty);
}

std::string name_of_path(const std::string& path) {
  std::filesystem::path file(path);
  if (!file.has_filename()) file = file.parent_path();  // "folder/"
  const bool is_file = file.extension() == ".gguf" || file.extension() == ".safetensors";
  return (is_file ? file.stem() : file.filename()).string();
}

AdapterOption adapter_option(const std::string& text) {
  const size_t equals = text.find('=');
  const bool named = equals != std::string::npos && equals < text.find('/');
  if (named) return {text.substr(0, equals), text.substr(equals + 1)};
  return {name_of_path(text), text};
}

void add_speculation_options(CLI::App& command, ModelOptions& options) {
  options.speculation = "ngram";
  auto* speculate = command.add_option("--speculate", options.speculation,
                                       "ngram: guess from repeated text and check several tokens "
                                       "at once while that is faster; none");
  speculate->check(CLI::IsMember({"ngram", "none"}))->capture_default_str()->group("Computing");
  command
      .add_option("--draft", options.draft,
                  "A smaller model with the same vocabulary, which guesses instead")
      ->check(not_empty)
      ->excludes(speculate)
      ->group("Computing");
}

Result<std::string> model_path(const ModelOptions& options) {
  if (!options.path.empty()) return options.path;
  const std::string path = (cache_folder() / "default.gguf").string();
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return path;
  return fail(ErrorCode::kNotFound,
              "no default model at {}: ./run.sh prepares it; or name a model with -m FILE", path);
}

Result<std::unique_ptr<Backend>> make_backend(const ModelOptions& options) {
  const bool keeps_f32 = options.backend == "reference" || options.exact;
  if (keeps_f32 && !options.kv_type.empty() && options.kv_type != "f32") {
    return fail(ErrorCode::kBadInput, "--kv-type {}: {} keeps keys and values in f32",
                options.kv_type, options.exact ? "--exact" : "the reference backend");
  }
  if (options.backend == "reference") {
    if (!options.isa.empty()) {
      return fail(ErrorCode::kBadInput, "--isa {} belongs to the cpu backend, not to reference",
                  options.isa);
    }
    return make_reference_backend();
  }
  CpuBackendOptions cpu;
  cpu.n_threads = options.n_threads;
  cpu.exact = options.exact;
  if (!options.isa.empty()) cpu.isa = isa_from_name(options.isa);
  if (!options.kv_type.empty()) cpu.kv_type = *kv_type_from_name(options.kv_type);
  return make_cpu_backend(cpu);
}

EngineOptions engine_options(const ModelOptions& options) {
  EngineOptions engine;
  engine.context_len = options.context_len;
  engine.max_sequences = 1;
  engine.memory_limit_bytes = available_memory_bytes();
  if (!options.lora.empty()) {
    engine.adapters = {adapter_option(options.lora)};
    engine.default_adapter = engine.adapters.front().name;
  }
  if (options.speculation == "ngram") engine.speculation = Speculation::kNgram;
  if (!options.draft.empty()) engine.speculation = Speculation::kDraft;
  engine.draft_path = options.draft;
  return engine;
}

Result<std::unique_ptr<Engine>> load_engine(const ModelOptions& options,
                                            const AppContext& context) {
  return load_engine(options, engine_options(options), context);
}

Result<std::unique_ptr<Engine>> load_engine(const ModelOptions& options,
                                            const EngineOptions& engine_options,
                                            const AppContext& context) {
  MIXTRAL_TRY(const std::string path, model_path(options));
  MIXTRAL_TRY(auto backend, make_backend(options));
  if (context.verbose) context.note(fmt::format("{}: {}", path, backend->description()));
  const auto progress = context.make_progress();
  MIXTRAL_TRY(auto engine,
              as_input(Engine::load(path, std::move(backend), engine_options, progress.get())));
  for (const std::string& warning : engine->checkpoint().warnings()) context.warn(warning);
  warn_about_context(engine->context_len(), engine->model().config(), context);
  if (context.verbose) note_kernels(*engine, context);
  return engine;
}

}  // namespace mixtral
