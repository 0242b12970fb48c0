#include "support/tiny_checkpoint.h"

#include <fstream>

#include "core/check.h"
#include "core/rng.h"

namespace mixtral::testing {
namespace {

constexpr uint64_t kDim = 8, kHidden = 12, kExperts = 3, kVocab = 16, kHeads = 2, kHeadDim = 4;

TinyTensor random_tensor(Rng& rng, std::vector<uint64_t> shape) {
  size_t n = 1;
  for (const uint64_t dim : shape) n *= dim;
  TinyTensor tensor = {std::move(shape), std::vector<float>(n)};
  for (float& value : tensor.values) value = static_cast<float>(0.3 * rng.normal());
  return tensor;
}

void add_shared(std::map<std::string, TinyTensor>& tensors, Rng& rng) {
  const std::string layer = "model.layers.0.";
  const uint64_t q = kHeads * kHeadDim, kv = kHeadDim;
  tensors["model.embed_tokens.weight"] = random_tensor(rng, {kVocab, kDim});
  tensors["lm_head.weight"] = random_tensor(rng, {kVocab, kDim});
  tensors["model.norm.weight"] = random_tensor(rng, {kDim});
  tensors[layer + "input_layernorm.weight"] = random_tensor(rng, {kDim});
  tensors[layer + "post_attention_layernorm.weight"] = random_tensor(rng, {kDim});
  tensors[layer + "self_attn.q_proj.weight"] = random_tensor(rng, {q, kDim});
  tensors[layer + "self_attn.k_proj.weight"] = random_tensor(rng, {kv, kDim});
  tensors[layer + "self_attn.v_proj.weight"] = random_tensor(rng, {kv, kDim});
  tensors[layer + "self_attn.o_proj.weight"] = random_tensor(rng, {kDim, q});
}

Json shared_config() {
  return {{"hidden_act", "silu"},   {"hidden_size", kDim},           {"intermediate_size", kHidden},
          {"num_hidden_layers", 1}, {"num_attention_heads", kHeads}, {"num_key_value_heads", 1},
          {"vocab_size", kVocab},   {"max_position_embeddings", 64}, {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},  {"tie_word_embeddings", false}};
}

void write_shard(const std::string& path, const std::map<std::string, TinyTensor>& tensors,
                 const std::vector<std::string>& names) {
  std::vector<SafetensorsTensorInfo> infos;
  for (const std::string& name : names) infos.push_back({name, "F32", tensors.at(name).shape});
  auto writer = SafetensorsWriter::create(path, infos);
  MIXTRAL_CHECK(writer.has_value(), "the temporary folder can be written");
  for (const std::string& name : names) {
    const Status status = writer->write(std::as_bytes(std::span(tensors.at(name).values)));
    MIXTRAL_CHECK(status.has_value(), "the temporary folder can be written");
  }
  MIXTRAL_CHECK(writer->finish().has_value(), "the temporary folder can be written");
}

}  // namespace

TinyCheckpoint TinyCheckpoint::mixtral() {
  TinyCheckpoint tiny;
  Rng rng(7);
  add_shared(tiny.tensors, rng);
  const std::string moe = "model.layers.0.block_sparse_moe.";
  tiny.tensors[moe + "gate.weight"] = random_tensor(rng, {kExperts, kDim});
  for (uint64_t e = 0; e < kExperts; ++e) {
    const std::string expert = moe + "experts." + std::to_string(e);
    tiny.tensors[expert + ".w1.weight"] = random_tensor(rng, {kHidden, kDim});
    tiny.tensors[expert + ".w2.weight"] = random_tensor(rng, {kDim, kHidden});
    tiny.tensors[expert + ".w3.weight"] = random_tensor(rng, {kHidden, kDim});
  }
  tiny.config = shared_config();
  tiny.config["model_type"] = "mixtral";
  tiny.config["num_local_experts"] = kExperts;
  tiny.config["num_experts_per_tok"] = 2;
  return tiny;
}

TinyCheckpoint TinyCheckpoint::llama() {
  TinyCheckpoint tiny;
  Rng rng(8);
  add_shared(tiny.tensors, rng);
  tiny.tensors["model.layers.0.mlp.gate_proj.weight"] = random_tensor(rng, {kHidden, kDim});
  tiny.tensors["model.layers.0.mlp.up_proj.weight"] = random_tensor(rng, {kHidden, kDim});
  tiny.tensors["model.layers.0.mlp.down_proj.weight"] = random_tensor(rng, {kDim, kHidden});
  tiny.config = shared_config();
  tiny.config["model_type"] = "llama";
  return tiny;
}

void TinyCheckpoint::fuse_experts() {
  const std::string old = "model.layers.0.block_sparse_moe.", fused = "model.layers.0.mlp.";
  TinyTensor gate_up = {{kExperts, 2 * kHidden, kDim}, {}}, down = {{kExperts, kDim, kHidden}, {}};
  for (uint64_t e = 0; e < kExperts; ++e) {
    for (const char* part : {".w1.weight", ".w3.weight", ".w2.weight"}) {
      const auto tensor = tensors.extract(old + "experts." + std::to_string(e) + part);
      std::vector<float>& to = part[2] == '2' ? down.values : gate_up.values;
      to.insert(to.end(), tensor.mapped().values.begin(), tensor.mapped().values.end());
    }
  }
  tensors[fused + "experts.gate_up_proj"] = gate_up;
  tensors[fused + "experts.down_proj"] = down;
  tensors[fused + "gate.weight"] = tensors.extract(old + "gate.weight").mapped();
}

void TinyCheckpoint::write(const std::string& folder, size_t n_shards) const {
  write_text(folder + "/config.json", config.dump());
  std::vector<std::vector<std::string>> shards(n_shards);
  Json weight_map = Json::object();
  size_t next = 0;
  for (const auto& [name, tensor] : tensors) {
    const size_t shard = next++ % n_shards;
    shards[shard].push_back(name);
    weight_map[name] = fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, n_shards);
  }
  if (n_shards == 1) {
    write_shard(folder + "/model.safetensors", tensors, shards[0]);
    return;
  }
  for (const auto& names : shards) {
    write_shard(folder + "/" + weight_map[names[0]].get<std::string>(), tensors, names);
  }
  write_text(folder + "/model.safetensors.index.json", Json{{"weight_map", weight_map}}.dump());
}

void write_text(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace mixtral::testing
