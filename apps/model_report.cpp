#include "model_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "machine.h"
#include "terminal.h"
#include "text/chat_template.h"

namespace mixtral {
namespace {

// The first rows of the first matrix of another source: enough to learn which kernel would run.
class FirstRows : public WeightSource {
 public:
  explicit FirstRows(const WeightSource& whole)
      : WeightSource(whole.name(), {whole.type()}, std::min<size_t>(whole.rows(), 16),
                     whole.cols()),
        whole_(whole) {}
  Status read_rows(size_t matrix, size_t first_row, size_t n_rows,
                   std::span<std::byte> out) const override {
    return whole_.read_rows(matrix, first_row, n_rows, out);
  }

 private:
  const WeightSource& whole_;
};

std::string_view kind_name(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::kGguf: return "GGUF";
    case CheckpointKind::kHuggingFace: return "Hugging Face folder";
    case CheckpointKind::kMistral: return "Mistral folder";
    case CheckpointKind::kPacked: return "packed model";
  }
  MIXTRAL_CHECK(false, "unknown kind of checkpoint");
}

std::string line(std::string_view label, std::string_view value) {
  return fmt::format("{:<14}{}\n", label, value);
}

Json optional_id(std::optional<int32_t> id) { return id ? Json(*id) : Json(nullptr); }

std::string_view chat_format_text(const Tokenizer& tokenizer) {
  const auto format = detect_chat_format(tokenizer);
  return format ? chat_format_name(*format) : "none that is known";
}

Json config_json(const ModelConfig& config) {
  return {{"dim", config.dim},
          {"n_layers", config.n_layers},
          {"n_heads", config.n_heads},
          {"n_kv_heads", config.n_kv_heads},
          {"head_dim", config.head_dim},
          {"hidden_dim", config.hidden_dim},
          {"n_experts", config.n_experts},
          {"n_experts_per_token", config.n_experts_per_token},
          {"vocab_size", config.vocab_size},
          {"context_len", config.context_len},
          {"sliding_window", config.sliding_window},
          {"rope_theta", config.rope_theta},
          {"norm_eps", config.norm_eps},
          {"tied_embeddings", config.tied_embeddings}};
}

}  // namespace

Result<ModelReport> ModelReport::create(const Checkpoint& checkpoint, const Tokenizer* tokenizer,
                                        Backend& backend, const EngineOptions& options) {
  ModelReport report(checkpoint, tokenizer);
  for (const auto& tensor : checkpoint.tensors().entries()) {
    TypeTotal& total = report.types_[tensor->type];
    total.n_tensors += 1;
    total.n_bytes += tensor->n_bytes;
  }
  report.plan_ = Engine::plan(checkpoint, backend, options);
  report.context_len_ =
      options.context_len != 0 ? options.context_len : checkpoint.config().context_len;
  report.available_bytes_ = available_memory_bytes();
  report.backend_ = backend.description();
  MIXTRAL_TRY(report.ask_for_kernels(backend));
  return report;
}

Status ModelReport::ask_for_kernels(Backend& backend) {
  for (const WeightId id : all_weights(checkpoint_->config())) {
    const auto source = checkpoint_->source(id);
    if (kernels_.has(id.role, source->type())) continue;
    MIXTRAL_TRY(const auto weight, backend.load(FirstRows(*source), nullptr));
    kernels_.add(id.role, *weight);
  }
  return {};
}

std::string ModelReport::model_text() const {
  const ModelConfig& config = checkpoint_->config();
  std::string out = line(
      "Checkpoint", fmt::format("{} ({})", checkpoint_->path(), kind_name(checkpoint_->kind())));
  out += line("Architecture", fmt::format("{}, {}, dim {}", checkpoint_->architecture(),
                                          counted(config.n_layers, "layer"), config.dim));
  out += line("Attention",
              fmt::format("{} heads of {}, {} for keys and values{}", config.n_heads,
                          config.head_dim, config.n_kv_heads,
                          config.sliding_window != 0
                              ? fmt::format(", sliding window of {}", config.sliding_window)
                              : ""));
  out += line("Feed-forward", config.has_router()
                                  ? fmt::format("{} experts of {}, {} per token", config.n_experts,
                                                config.hidden_dim, config.n_experts_per_token)
                                  : fmt::format("dense, {}", config.hidden_dim));
  out += line("Context", fmt::format("{} positions", config.context_len));
  out += line("Parameters",
              fmt::format("{}, {} of them active for a token", format_count(config.n_parameters()),
                          format_count(config.n_active_parameters())));
  if (tokenizer_ == nullptr) return out + line("Tokenizer", "none");
  return out +
         line("Tokenizer", fmt::format("{} tokens, chat template: {}", tokenizer_->vocab_size(),
                                       chat_format_text(*tokenizer_)));
}

std::string ModelReport::memory_text() const {
  const auto row = [](std::string_view label, std::string_view value) {
    return fmt::format("  {:<18}{:>10}\n", label, value);
  };
  std::string out = fmt::format("\nMemory for a context of {} positions\n", context_len_);
  out += row("weights", format_bytes(plan_.weights));
  out += row("keys and values", format_bytes(plan_.kv_cache));
  out += row("scratch", format_bytes(plan_.scratch));
  out += row("total", format_bytes(plan_.total()));
  if (available_bytes_ == 0) return out + row("free here", "unknown");
  const bool fits = plan_.total() <= available_bytes_;
  return out + row("free here", format_bytes(available_bytes_)) +
         (fits ? "  It fits.\n"
               : "  It does not fit: take a smaller weight type or a shorter --context.\n");
}

std::string ModelReport::text(bool tensors) const {
  std::string out = model_text();
  out += "\nStored as\n";
  for (const auto& [type, total] : types_) {
    out += fmt::format("  {:<8}{:>6} {:<7}{:>10}\n", type_name(type), total.n_tensors,
                       total.n_tensors == 1 ? "tensor" : "tensors", format_bytes(total.n_bytes));
  }
  out += memory_text();
  out += fmt::format("\nKernels ({})\n", backend_);
  for (const KernelUse& use : kernels_.uses()) {
    out += fmt::format("  {:<18}{:<8}{}\n", role_name(use.role), type_name(use.type), use.kernel);
  }
  if (!tensors) return out;
  out += "\nTensors\n";
  for (const auto& tensor : checkpoint_->tensors().entries()) {
    out += fmt::format("  {:<8}{:>10}  {:<20} {}\n", type_name(tensor->type),
                       format_bytes(tensor->n_bytes), tensor->shape_text(), tensor->name);
  }
  return out;
}

Json ModelReport::json(bool tensors) const {
  const ModelConfig& config = checkpoint_->config();
  Json types = Json::array(), kernels = Json::array();
  for (const auto& [type, total] : types_) {
    types.push_back(
        {{"type", type_name(type)}, {"tensors", total.n_tensors}, {"bytes", total.n_bytes}});
  }
  for (const KernelUse& use : kernels_.uses()) {
    kernels.push_back(
        {{"role", role_name(use.role)}, {"type", type_name(use.type)}, {"kernel", use.kernel}});
  }
  Json out = {
      {"path", checkpoint_->path()},
      {"format", kind_name(checkpoint_->kind())},
      {"architecture", checkpoint_->architecture()},
      {"config", config_json(config)},
      {"parameters", {{"total", config.n_parameters()}, {"active", config.n_active_parameters()}}},
      {"types", types},
      {"memory",
       {{"context_len", context_len_},
        {"weights", plan_.weights},
        {"kv_cache", plan_.kv_cache},
        {"scratch", plan_.scratch},
        {"total", plan_.total()},
        {"available", available_bytes_ != 0 ? Json(available_bytes_) : Json(nullptr)}}},
      {"backend", backend_},
      {"kernels", kernels},
      {"tokenizer", nullptr},
      {"warnings", checkpoint_->warnings()}};
  if (tokenizer_ != nullptr) {
    const auto format = detect_chat_format(*tokenizer_);
    out["tokenizer"] = {{"vocab_size", tokenizer_->vocab_size()},
                        {"bos_id", optional_id(tokenizer_->bos_id())},
                        {"eos_id", optional_id(tokenizer_->eos_id())},
                        {"end_ids", tokenizer_->end_ids()},
                        {"adds_bos", tokenizer_->adds_bos()},
                        {"chat_template", format ? Json(chat_format_name(*format)) : Json()}};
  }
  if (!tensors) return out;
  out["tensors"] = Json::array();
  for (const auto& tensor : checkpoint_->tensors().entries()) {
    out["tensors"].push_back({{"name", tensor->name},
                              {"type", type_name(tensor->type)},
                              {"shape", tensor->shape},
                              {"bytes", tensor->n_bytes}});
  }
  return out;
}

}  // namespace mixtral
