// The options that every command with a model has, and the model that they describe.
#pragma once

#include <memory>
#include <string>

#include "app_context.h"
#include "core/result.h"
#include "engine/engine.h"
#include "model/checkpoint.h"
#include "ops/backend.h"

namespace CLI {
class Option;
}

namespace mixtral {

inline constexpr size_t kMaxContext = size_t{1} << 30;

struct ModelOptions {
  std::string path;  ///< empty: the default model
  std::string backend = "cpu";
  std::string isa;  ///< empty: the best one of this machine
  size_t n_threads = 0;
  size_t context_len = 0;
  bool exact = false;
  std::string kv_type;               ///< empty: f16, or f32 if exact
  std::string lora;                  ///< as adapter_option() takes it; empty: none
  std::string speculation = "none";  ///< or "ngram"
  std::string draft;                 ///< path of a draft model, which takes its place
};

/// -m alone, for commands that only look at a file; add_compute_options adds the rest.
void add_model_option(
    CLI::App& command, ModelOptions& options,
    const std::string& description =
        "GGUF file, packed model, or folder with safetensors (default: the default model)");
/// --threads alone.
CLI::Option* add_threads_option(CLI::App& command, size_t& n_threads);
/// --threads, --backend, --isa, --exact, --kv-type.
void add_device_options(CLI::App& command, ModelOptions& options);
/// Those and --context.
void add_compute_options(CLI::App& command, ModelOptions& options);
/// --lora: one adapter, which everything goes through.
void add_lora_option(CLI::App& command, ModelOptions& options);
inline constexpr const char* kLoraHelp =
    "[NAME=]PATH of a low-rank adapter: folder of peft or mistral-finetune, or their safetensors "
    "file";
/// Of the file without its extension, or of the folder, whether or not a slash follows.
std::string name_of_path(const std::string& path);
/// What --lora says; without a name it is that of the file or folder.
AdapterOption adapter_option(const std::string& text);

/// --speculate, which is ngram unless it is given, and --draft.
void add_speculation_options(CLI::App& command, ModelOptions& options);

/// The path given, else that of the default model. Fails if there is none, saying how to get one.
Result<std::string> model_path(const ModelOptions& options);
Result<std::unique_ptr<Backend>> make_backend(const ModelOptions& options);
EngineOptions engine_options(const ModelOptions& options);
/// Says so if there is more context than the model was made for.
void warn_about_context(size_t context_len, const ModelConfig& config, const AppContext& context);

/// Loads the model against the memory that is free, with a progress bar and all warnings.
Result<std::unique_ptr<Engine>> load_engine(const ModelOptions& options, const AppContext& context);
/// The same with an engine for more than one answer at a time.
Result<std::unique_ptr<Engine>> load_engine(const ModelOptions& options,
                                            const EngineOptions& engine_options,
                                            const AppContext& context);

}  // namespace mixtral
