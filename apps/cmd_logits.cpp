// `mixtral logits`: what the model computes for given tokens, as a safetensors file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "app_context.h"
#include "commands.h"
#include "core/progress_task.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "machine.h"
#include "model_options.h"
#include "number_option.h"
#include "prompt_ids.h"
#include "token_ids.h"

namespace mixtral {
namespace {

struct LogitsOptions {
  ModelOptions model;
  std::string ids, ids_file, text_file, output;
  bool hidden = false, router = false;
};

// Keeps what passes by until it is time to write it: these tensors come one layer at a time, but
// lie in the file one after the other.
class Recorder : public StepTrace {
 public:
  Recorder(Backend& backend, const ModelConfig& config, const LogitsOptions& options)
      : backend_(backend),
        hidden_(options.hidden ? config.n_layers + 1 : 0),
        router_logits_(options.router ? config.n_layers : 0) {}

  void on_hidden(size_t index, TensorView<const float> x) override {
    if (index < hidden_.size()) append(x, hidden_[index]);
  }
  void on_routing(size_t layer, TensorView<const float> logits, const Routing&) override {
    if (layer < router_logits_.size()) append(logits, router_logits_[layer]);
  }

  Status write(SafetensorsWriter& writer) const {
    for (const auto& tensor : hidden_) MIXTRAL_TRY(writer.write(std::as_bytes(std::span(tensor))));
    for (const auto& tensor : router_logits_) {
      MIXTRAL_TRY(writer.write(std::as_bytes(std::span(tensor))));
    }
    return {};
  }

 private:
  void append(TensorView<const float> rows, std::vector<float>& to) {
    const size_t old_size = to.size();
    to.resize(old_size + rows.rows() * rows.cols());
    backend_.download(rows, TensorView<float>(to.data() + old_size, rows.rows(), rows.cols()));
  }

  Backend& backend_;
  std::vector<std::vector<float>> hidden_;         // [L + 1][T * D]
  std::vector<std::vector<float>> router_logits_;  // [L][T * E]
};

std::vector<SafetensorsTensorInfo> declare_tensors(const ModelConfig& config, size_t n_tokens,
                                                   const LogitsOptions& options) {
  std::vector<SafetensorsTensorInfo> tensors = {{"logits", "F32", {n_tokens, config.vocab_size}}};
  for (size_t i = 0; options.hidden && i <= config.n_layers; ++i) {
    tensors.push_back({fmt::format("hidden.{}", i), "F32", {n_tokens, config.dim}});
  }
  for (size_t i = 0; options.router && i < config.n_layers; ++i) {
    tensors.push_back({fmt::format("router_logits.{}", i), "F32", {n_tokens, config.n_experts}});
  }
  return tensors;
}

// Logits go to the file as they come; hidden states and router logits wait in memory, twice for a
// moment while their vectors grow.
Status check_memory(const ModelConfig& config, size_t n_tokens, const LogitsOptions& options) {
  const uint64_t floats_per_token = (options.hidden ? (config.n_layers + 1) * config.dim : 0) +
                                    (options.router ? config.n_layers * config.n_experts : 0);
  const uint64_t needed = 2 * n_tokens * floats_per_token * sizeof(float);
  const uint64_t available = available_memory_bytes();
  if (available == 0 || needed <= available) return {};
  return fail(ErrorCode::kTooLarge,
              "the hidden states of {} tokens need {} bytes, but {} are free: take fewer tokens",
              n_tokens, needed, available);
}

Status write_logits(const LogitsOptions& options, Engine& engine, std::span<const int32_t> ids,
                    const AppContext& context) {
  const ModelConfig& config = engine.model().config();
  if (options.router && !config.has_router()) {
    return fail(ErrorCode::kBadInput, "--router: {} is a dense model, it has no router",
                engine.checkpoint().path());
  }
  MIXTRAL_TRY(check_memory(config, ids.size(), options));
  MIXTRAL_TRY(auto writer, SafetensorsWriter::create(options.output,
                                                     declare_tensors(config, ids.size(), options)));
  Recorder recorder(engine.model().backend(), config, options);
  const auto progress = context.make_progress();
  ProgressTask computed(progress.get(), "computing", ids.size(), "tokens");
  MIXTRAL_TRY(engine.score(
      ids,
      [&](size_t, std::span<const float> logits) -> Status {
        computed.add(1);
        return writer.write(std::as_bytes(logits));
      },
      &recorder));
  MIXTRAL_TRY(recorder.write(writer));
  return writer.finish();
}

Status run(const LogitsOptions& options, const AppContext& context) {
  MIXTRAL_TRY(check_output_path(options.output));
  const bool has_text = !options.text_file.empty();
  std::string text;
  std::vector<int32_t> ids;
  if (has_text) {
    MIXTRAL_TRY(text, read_text(options.text_file));
  } else {
    MIXTRAL_TRY(ids, given_ids(options.ids, options.ids_file));
  }
  MIXTRAL_TRY(auto engine, load_engine(options.model, context));
  if (has_text) {
    MIXTRAL_TRY(need_tokenizer(engine->tokenizer()));
    ids = encode_with_bos(text, *engine->tokenizer());
  }
  return write_logits(options, *engine, ids, context);
}

constexpr const char* kHelp =
    R"(Writes F32 tensors: logits [T, vocab]; with --hidden hidden.0 (embeddings) to hidden.L (after the
final norm), each [T, dim]; with --router router_logits.0 and on, each [T, experts].

Examples:
  mixtral logits --ids 1,733,16289 -o logits.safetensors
  mixtral logits -m model.gguf --text letter.txt --hidden --router --exact -o all.safetensors)";

}  // namespace

void add_logits_command(CLI::App& app, AppContext& context) {
  auto options = std::make_shared<LogitsOptions>();
  CLI::App* command = app.add_subcommand("logits", "Write logits, hidden states and router logits");
  command->footer(kHelp);
  add_model_option(*command, options->model);
  add_lora_option(*command, options->model);
  auto* input = command->add_option_group("Input", "one of these");
  input->add_option("--ids", options->ids, "Token ids: 1,2,3")->check(not_empty);
  input->add_option("--ids-file", options->ids_file,
                    "JSON file: [1, 2, 3] or {\"ids\": [1, 2, 3]}");
  input
      ->add_option("--text", options->text_file,
                   "Text file, - for standard input; begins with BOS where the tokenizer adds one")
      ->check(not_empty);
  input->require_option(1);
  command->add_option("-o,--out", options->output, "safetensors file to write")
      ->required()
      ->check(not_empty);
  command->add_flag("--hidden", options->hidden, "Hidden states of all layers too");
  command->add_flag("--router", options->router, "Router logits of all layers too");
  add_compute_options(*command, options->model);
  add_output_options(*command, context);
  command->callback([options, &context] { context.finish(run(*options, context)); });
}

}  // namespace mixtral
