#include "support/adapter_files.h"

#include <array>

#include "core/check.h"
#include "core/half.h"
#include "core/rng.h"
#include "io/safetensors.h"

namespace mixtral::testing {
namespace {

TinyTensor random_tensor(Rng& rng, uint64_t rows, uint64_t cols, double scale) {
  TinyTensor tensor = {{rows, cols}, std::vector<float>(rows * cols)};
  // Short mantissas: halves hold them exactly.
  for (float& value : tensor.values) {
    value = bf16_to_f32(f32_to_bf16(static_cast<float>(scale * rng.normal())));
  }
  return tensor;
}

struct Module {
  std::string name;
  uint64_t rows, cols;
};

std::vector<Module> modules_of(const ModelConfig& c) {
  std::vector<Module> modules;
  const uint64_t q = c.n_heads * c.head_dim, kv = c.n_kv_heads * c.head_dim;
  for (size_t layer = 0; layer < c.n_layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    modules.push_back({prefix + "self_attn.q_proj", q, c.dim});
    modules.push_back({prefix + "self_attn.k_proj", kv, c.dim});
    modules.push_back({prefix + "self_attn.v_proj", kv, c.dim});
    modules.push_back({prefix + "self_attn.o_proj", c.dim, q});
    for (size_t e = 0; e < c.n_experts; ++e) {
      const std::string expert = prefix + fmt::format("block_sparse_moe.experts.{}.", e);
      const bool dense = c.n_experts == 1;
      modules.push_back({dense ? prefix + "mlp.gate_proj" : expert + "w1", c.hidden_dim, c.dim});
      modules.push_back({dense ? prefix + "mlp.up_proj" : expert + "w3", c.hidden_dim, c.dim});
      modules.push_back({dense ? prefix + "mlp.down_proj" : expert + "w2", c.dim, c.hidden_dim});
    }
  }
  modules.push_back({"lm_head", c.vocab_size, c.dim});
  return modules;
}

std::string mistral_name(std::string name) {
  constexpr std::array<std::array<const char*, 2>, 9> kParts = {
      {{"model.layers", "layers"},
       {"self_attn.q_proj", "attention.wq"},
       {"self_attn.k_proj", "attention.wk"},
       {"self_attn.v_proj", "attention.wv"},
       {"self_attn.o_proj", "attention.wo"},
       {"block_sparse_moe", "feed_forward"},
       {"mlp.gate_proj", "feed_forward.w1"},
       {"mlp.up_proj", "feed_forward.w3"},
       {"mlp.down_proj", "feed_forward.w2"}}};
  for (const auto& [from, to] : kParts) {
    const size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, std::string(from).size(), to);
  }
  return name == "lm_head" ? "output" : name;
}

// Element i of each half of a head becomes the pair (2i, 2i + 1).
TinyTensor interleaved(const TinyTensor& half_order, size_t head_dim) {
  TinyTensor out = half_order;
  const size_t cols = half_order.shape[1];
  for (size_t row = 0; row < half_order.shape[0]; ++row) {
    const size_t head = row / head_dim, in_head = row % head_dim;
    const size_t half = in_head / (head_dim / 2), i = in_head % (head_dim / 2);
    const size_t to = head * head_dim + 2 * i + half;
    for (size_t c = 0; c < cols; ++c) out.values[to * cols + c] = half_order.values[row * cols + c];
  }
  return out;
}

std::vector<std::byte> bytes_of(const std::vector<float>& values, const std::string& dtype) {
  const auto floats = std::as_bytes(std::span(values));
  if (dtype == "F32") return {floats.begin(), floats.end()};
  std::vector<uint16_t> halves;
  for (const float value : values) {
    halves.push_back(dtype == "F16" ? f32_to_f16(value) : f32_to_bf16(value));
  }
  const auto bytes = std::as_bytes(std::span(halves));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TinyAdapter TinyAdapter::random(const ModelConfig& config, size_t rank, uint64_t seed,
                                const std::string& part) {
  TinyAdapter adapter;
  adapter.rank = rank;
  adapter.alpha = 1.5 * static_cast<double>(rank);
  Rng rng(seed);
  for (const Module& module : modules_of(config)) {
    const double scale = 1 / std::sqrt(static_cast<double>(module.cols));
    Change change = {random_tensor(rng, rank, module.cols, scale),
                     random_tensor(rng, module.rows, rank, 0.3)};
    if (module.name.find(part) != std::string::npos) adapter.changes[module.name] = change;
  }
  return adapter;
}

Json TinyAdapter::peft_config() const {
  return {{"peft_type", "LORA"},
          {"r", rank},
          {"lora_alpha", alpha},
          {"use_rslora", false},
          {"rank_pattern", Json::object()},
          {"target_modules", {"q_proj"}},
          {"bias", "none"},
          {"modules_to_save", nullptr}};
}

std::map<std::string, TinyTensor> TinyAdapter::peft_tensors() const {
  std::map<std::string, TinyTensor> tensors;
  for (const auto& [name, change] : changes) {
    tensors["base_model.model." + name + ".lora_A.weight"] = change.a;
    tensors["base_model.model." + name + ".lora_B.weight"] = change.b;
  }
  return tensors;
}

void TinyAdapter::write_peft(const std::string& folder, const std::string& dtype) const {
  write_text(folder + "/adapter_config.json", peft_config().dump());
  write_tensors(folder + "/adapter_model.safetensors", peft_tensors(), dtype);
}

void TinyAdapter::write_mistral(const std::string& folder, size_t head_dim) const {
  std::map<std::string, TinyTensor> tensors;
  for (const auto& [name, change] : changes) {
    const bool rotary = name.ends_with("q_proj") || name.ends_with("k_proj");
    tensors[mistral_name(name) + ".lora_A.weight"] = change.a;
    tensors[mistral_name(name) + ".lora_B.weight"] =
        rotary ? interleaved(change.b, head_dim) : change.b;
  }
  write_tensors(folder + "/lora.safetensors", tensors);
  const Json lora = {
      {"enable", true}, {"rank", rank}, {"scaling", alpha / static_cast<double>(rank)}};
  write_text(folder + "/params.json", Json{{"lora", lora}}.dump());
}

void TinyAdapter::merge_into(std::map<std::string, TinyTensor>& tensors) const {
  for (const auto& [name, change] : changes) {
    TinyTensor& weight = tensors.at(name + ".weight");
    const size_t rows = weight.shape[0], cols = weight.shape[1];
    for (size_t row = 0; row < rows; ++row) {
      for (size_t col = 0; col < cols; ++col) {
        double sum = 0;
        for (size_t r = 0; r < rank; ++r) {
          sum += static_cast<double>(change.b.values[row * rank + r]) *
                 change.a.values[r * cols + col];
        }
        weight.values[row * cols + col] +=
            static_cast<float>(alpha / static_cast<double>(rank) * sum);
      }
    }
  }
}

void write_tensors(const std::string& path, const std::map<std::string, TinyTensor>& tensors,
                   const std::string& dtype) {
  std::vector<SafetensorsTensorInfo> infos;
  for (const auto& [name, tensor] : tensors) infos.push_back({name, dtype, tensor.shape});
  auto writer = SafetensorsWriter::create(path, infos);
  MIXTRAL_CHECK(writer.has_value(), "the temporary folder can be written");
  for (const auto& [name, tensor] : tensors) {
    MIXTRAL_CHECK(writer->write(bytes_of(tensor.values, dtype)).has_value(), "it can be written");
  }
  MIXTRAL_CHECK(writer->finish().has_value(), "it can be written");
}

}  // namespace mixtral::testing
