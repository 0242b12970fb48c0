#include "convert/write_huggingface.h"

#include <algorithm>
#include <map>

#include "convert/huggingface_tokenizer.h"
#include "convert/shortest_decimal.h"
#include "convert/staged_folder.h"
#include "convert/write_plan.h"
#include "core/progress_task.h"
#include "core/thread_pool.h"
#include "io/file.h"
#include "io/safetensors.h"

namespace mixtral {
namespace {

std::string_view torch_name(Type type) {
  switch (type) {
    case Type::kF16: return "float16";
    case Type::kBF16: return "bfloat16";
    default: return "float32";
  }
}

/// The type that a reader should load the model in: the one that all its tensors fit.
Type common_type(const WritePlan& plan) {
  const Type first = plan.tensors.front().form.type;
  const bool alike = std::all_of(plan.tensors.begin(), plan.tensors.end(),
                                 [&](const auto& tensor) { return tensor.form.type == first; });
  return alike ? first : Type::kF32;
}

/// Tensors of one weight file.
struct Shard {
  std::string file_name;
  std::vector<PlannedTensor> tensors;
};

std::vector<Shard> split_into_shards(const std::vector<PlannedTensor>& tensors, uint64_t limit) {
  std::vector<Shard> shards(1);
  uint64_t n_bytes = 0;
  for (const PlannedTensor& tensor : tensors) {
    if (!shards.back().tensors.empty() && n_bytes + tensor.n_bytes() > limit) {
      shards.emplace_back();
      n_bytes = 0;
    }
    n_bytes += tensor.n_bytes();
    shards.back().tensors.push_back(tensor);
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    shards[i].file_name =
        shards.size() == 1 ? "model.safetensors"
                           : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  }
  return shards;
}

Status write_text(const StagedFolder& folder, const std::string& name, std::string_view text) {
  MIXTRAL_TRY(OutputFile file, OutputFile::create(folder.file(name)));
  MIXTRAL_TRY(file.write(std::as_bytes(std::span(text))));
  return file.commit();
}

Status write_json(const StagedFolder& folder, const std::string& name, const Json& json) {
  // Bytes of a vocabulary that are no UTF-8 cannot stand in JSON.
  return write_text(folder, name, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Status write_shard(const ModelSource& model, const Shard& shard, const std::string& path,
                   ThreadPool& pool, ProgressTask& written) {
  std::vector<SafetensorsTensorInfo> infos;
  for (const PlannedTensor& tensor : shard.tensors)
    infos.push_back({tensor.name, std::string(type_name(tensor.form.type)), tensor.shape});
  MIXTRAL_TRY(SafetensorsWriter writer, SafetensorsWriter::create(path, infos, {{"format", "pt"}}));
  for (const PlannedTensor& tensor : shard.tensors) {
    MIXTRAL_TRY(stream_tensor(model, tensor, pool, [&](std::span<const std::byte> bytes) {
      written.add(bytes.size());
      return writer.write(bytes);
    }));
  }
  return writer.finish();
}

Json shard_index(const std::vector<Shard>& shards, uint64_t total_bytes) {
  Json files = Json::object();
  for (const Shard& shard : shards)
    for (const PlannedTensor& tensor : shard.tensors)
      files.push_back({tensor.name, shard.file_name});
  return {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", std::move(files)}};
}

Status write_weights(const ModelSource& model, const WritePlan& plan, const StagedFolder& folder,
                     const WriteOptions& options, ProgressTask& written) {
  const std::vector<Shard> shards = split_into_shards(plan.tensors, options.shard_bytes);
  ThreadPool pool(options.n_threads);
  for (const Shard& shard : shards)
    MIXTRAL_TRY(write_shard(model, shard, folder.file(shard.file_name), pool, written));
  if (shards.size() == 1) return {};
  return write_json(folder, "model.safetensors.index.json", shard_index(shards, plan.n_bytes()));
}

/// A tokenizer of a kind we do not know is no reason to keep the weights back: it becomes a note.
Status write_tokenizer(const ModelSource& model, const StagedFolder& folder,
                       std::vector<std::string>& notes) {
  const auto files = huggingface_tokenizer_files(model);
  if (!files && files.error().code == ErrorCode::kUnsupported) {
    notes.push_back("no tokenizer files were written: " + files.error().message);
    return {};
  }
  if (!files) return tl::unexpected(files.error());
  for (const auto& [name, text] : *files) MIXTRAL_TRY(write_text(folder, name, text));
  return {};
}

std::string_view architecture_class(std::string_view model_type) {
  if (model_type == "mixtral") return "MixtralForCausalLM";
  return model_type == "mistral" ? "MistralForCausalLM" : "LlamaForCausalLM";
}

void add_special_ids(const GgufMetadata& metadata, Json& json) {
  for (const std::string_view name : {"bos", "eos"}) {
    const auto id = metadata.get_u64(fmt::format("tokenizer.ggml.{}_token_id", name));
    json[fmt::format("{}_token_id", name)] = id && *id ? Json(**id) : Json(nullptr);
  }
}

}  // namespace

Json huggingface_config(const ModelSource& model, Type type) {
  const ModelConfig& c = model.config;
  const std::string_view model_type = c.has_router()          ? "mixtral"
                                      : c.sliding_window != 0 ? "mistral"
                                                              : "llama";
  Json json = {{"architectures", Json::array({architecture_class(model_type)})},
               {"model_type", model_type},
               {"vocab_size", c.vocab_size},
               {"hidden_size", c.dim},
               {"intermediate_size", c.hidden_dim},
               {"num_hidden_layers", c.n_layers},
               {"num_attention_heads", c.n_heads},
               {"num_key_value_heads", c.n_kv_heads},
               {"head_dim", c.head_dim},
               {"hidden_act", "silu"},
               {"max_position_embeddings", c.context_len},
               {"rms_norm_eps", shortest_decimal(c.norm_eps)},
               // transformers 4 reads the number, 5 the object.
               {"rope_theta", c.rope_theta},
               {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", c.rope_theta}}},
               {"tie_word_embeddings", c.tied_embeddings},
               {"attention_dropout", 0.0},
               {"torch_dtype", torch_name(type)},
               {"dtype", torch_name(type)}};
  if (model_type != "llama")
    json["sliding_window"] = c.sliding_window != 0 ? Json(c.sliding_window) : Json(nullptr);
  if (c.has_router()) {
    json["num_local_experts"] = c.n_experts;
    json["num_experts_per_tok"] = c.n_experts_per_token;
    json["router_aux_loss_coef"] = 0.02;
    json["output_router_logits"] = false;
  }
  add_special_ids(model.metadata, json);
  return json;
}

Result<WriteReport> write_huggingface(const ModelSource& model, const std::string& folder,
                                      const WriteOptions& options, Progress* progress) {
  MIXTRAL_TRY(StagedFolder staged, StagedFolder::create(folder, options.replace));
  MIXTRAL_TRY(WritePlan plan, plan_huggingface(model, options));
  MIXTRAL_TRY(check_disk_space(folder, plan.n_bytes()));
  MIXTRAL_TRY(write_tokenizer(model, staged, plan.notes));
  {
    ProgressTask written(progress, "writing " + folder, plan.n_bytes());
    MIXTRAL_TRY(write_weights(model, plan, staged, options, written));
  }
  MIXTRAL_TRY(write_json(staged, "config.json", huggingface_config(model, common_type(plan))));
  MIXTRAL_TRY(staged.commit());
  return WriteReport{plan.tensors.size(), plan.n_bytes(), std::move(plan.notes), {}};
}

}  // namespace mixtral
