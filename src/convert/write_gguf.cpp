#include "convert/write_gguf.h"

#include <filesystem>

#include "convert/shortest_decimal.h"
#include "convert/write_plan.h"
#include "core/progress_task.h"
#include "core/thread_pool.h"

namespace mixtral {
namespace {

// The number by which llama.cpp tells the kinds of files apart (include/llama.h, llama_ftype).
uint64_t file_type(Type type) {
  switch (type) {
    case Type::kF32: return 0;
    case Type::kF16: return 1;
    default: return 32;  // BF16
  }
}

void describe_mix(const WriteOptions& options, GgufMetadata& metadata) {
  constexpr uint64_t kQuantisationVersion = 2;  // of the block formats (GGML_QNT_VERSION)
  metadata.set("general.file_type", gguf_file_type(*options.mix));
  metadata.set("general.quantization_version", kQuantisationVersion);
  if (options.importance == nullptr) return;
  metadata.set("quantize.imatrix.file", options.importance->source_path);
  if (!options.importance->datasets.empty())
    metadata.set("quantize.imatrix.dataset", options.importance->datasets.front());
  metadata.set("quantize.imatrix.entries_count", uint64_t{options.importance->weights.size()});
  metadata.set("quantize.imatrix.chunks_count", options.importance->n_chunks);
}

}  // namespace

GgufMetadata gguf_metadata(const ModelSource& model) {
  const ModelConfig& config = model.config;
  GgufMetadata metadata;
  metadata.set("general.architecture", std::string("llama"));  // readers expect it first
  for (const auto& [key, value] : model.metadata.items()) metadata.set(key, value);
  metadata.set("general.architecture", std::string("llama"));
  const auto set = [&](std::string_view key, GgufValue value) {
    metadata.set(fmt::format("llama.{}", key), std::move(value));
  };
  const auto set_count = [&](std::string_view key, size_t value) { set(key, uint64_t{value}); };
  set_count("block_count", config.n_layers);
  set_count("context_length", config.context_len);
  set_count("embedding_length", config.dim);
  set_count("feed_forward_length", config.hidden_dim);
  set_count("attention.head_count", config.n_heads);
  set_count("attention.head_count_kv", config.n_kv_heads);
  set("attention.layer_norm_rms_epsilon", shortest_decimal(config.norm_eps));
  set("rope.freq_base", config.rope_theta);
  set_count("rope.dimension_count", config.head_dim);
  set_count("vocab_size", config.vocab_size);
  if (config.head_dim * config.n_heads != config.dim) {
    set_count("attention.key_length", config.head_dim);
    set_count("attention.value_length", config.head_dim);
  }
  if (config.sliding_window != 0) set_count("attention.sliding_window", config.sliding_window);
  if (config.has_router()) {
    set_count("expert_count", config.n_experts);
    set_count("expert_used_count", config.n_experts_per_token);
  }
  return metadata;
}

Result<WriteReport> write_gguf(const ModelSource& model, const std::string& path,
                               const WriteOptions& options, Progress* progress) {
  std::error_code error;
  if (!options.replace && std::filesystem::exists(path, error))
    return fail(ErrorCode::kBadInput, "{}: exists already (--force replaces it)", path);
  MIXTRAL_TRY(WritePlan plan, plan_gguf(model, options));
  if (!model.tokenizer_problem.empty())
    plan.notes.push_back("no tokenizer was written: " + model.tokenizer_problem);
  std::vector<GgufTensorInfo> infos;
  for (const PlannedTensor& tensor : plan.tensors)
    infos.push_back({tensor.name, tensor.form.type, tensor.shape});
  GgufMetadata metadata = gguf_metadata(model);
  if (options.mix != nullptr) describe_mix(options, metadata);
  if (options.type) metadata.set("general.file_type", file_type(*options.type));
  MIXTRAL_TRY(GgufWriter writer, GgufWriter::create(path, metadata, std::move(infos)));

  ThreadPool pool(options.n_threads);
  ProgressTask written(progress, "writing " + path, plan.n_bytes());
  for (const PlannedTensor& tensor : plan.tensors) {
    MIXTRAL_TRY(stream_tensor(model, tensor, pool, [&](std::span<const std::byte> bytes) {
      written.add(bytes.size());
      return writer.write(bytes);
    }));
  }
  MIXTRAL_TRY(writer.finish());
  return WriteReport{plan.tensors.size(), plan.n_bytes(), std::move(plan.notes),
                     std::move(plan.warnings)};
}

}  // namespace mixtral
