// A low-rank adapter from anywhere: refused with a message that names its folder, or loaded by both
// backends into no more memory than was planned. The first byte says whose it is and for which
// model: 'P' of peft and 'M' of mistral-finetune for a mixture, 'p' and 'm' for a dense model whose
// head is its embedding. Then come the settings up to a zero byte (no such file if they are empty)
// and the safetensors file.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cpu/cpu_backend.h"
#include "fuzz/memory_file.h"
#include "model/adapter.h"
#include "ops/reference.h"

namespace {

using mixtral::Adapter;
using mixtral::AdapterFile;

mixtral::ModelConfig mixture() {
  return {.dim = 4,
          .n_layers = 2,
          .n_heads = 2,
          .n_kv_heads = 1,
          .head_dim = 2,
          .hidden_dim = 3,
          .n_experts = 2,
          .n_experts_per_token = 1,
          .vocab_size = 5,
          .context_len = 8};
}

mixtral::ModelConfig dense() {
  mixtral::ModelConfig config = mixture();
  config.n_experts = 1;
  config.tied_embeddings = true;
  return config;
}

void expect_named(const mixtral::Error& error, const std::string& folder) {
  if (error.message.find(folder) == std::string::npos) __builtin_trap();
}

void load(const AdapterFile& file, mixtral::Backend& backend, const std::string& folder) {
  const auto adapter = Adapter::load(file, backend);
  if (!adapter) return expect_named(adapter.error(), folder);
  size_t n_bytes = 0;
  for (const mixtral::AdapterChange& change : file.changes()) {
    const mixtral::LowRank loaded = (*adapter)->change(change.id);
    n_bytes += loaded.a->bytes() + loaded.b->bytes();
  }
  if (n_bytes > Adapter::planned_bytes(file, backend)) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mixtral::testing::MemoryFolder folder;
  static const auto reference = mixtral::make_reference_backend();
  static const auto cpu = mixtral::make_cpu_backend({.n_threads = 1, .isa = mixtral::Isa::kScalar});
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t zero = bytes.find('\0');
  if (zero == 0 || zero == std::string_view::npos) return 0;
  const bool is_peft = bytes[0] == 'P' || bytes[0] == 'p';
  const bool is_mixture = bytes[0] == 'P' || bytes[0] == 'M';
  const std::string_view settings = bytes.substr(1, zero - 1), tensors = bytes.substr(zero + 1);

  const char* settings_name = is_peft ? "adapter_config.json" : "params.json";
  const char* tensors_name = is_peft ? "adapter_model.safetensors" : "lora.safetensors";
  folder.remove(settings_name);
  if (!settings.empty()) folder.write(settings_name, settings);
  folder.write(tensors_name, tensors);
  const auto file = AdapterFile::open(folder.file(tensors_name), is_mixture ? mixture() : dense());
  if (!file) {
    expect_named(file.error(), folder.path());
    return 0;
  }
  // Every row of an A is in the file, and more than that is not invented.
  if (file->rank() > tensors.size() + 16) __builtin_trap();
  load(*file, *reference, folder.path());
  load(*file, **cpu, folder.path());
  return 0;
}
