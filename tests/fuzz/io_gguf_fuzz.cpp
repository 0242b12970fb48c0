// Any bytes as a GGUF file: refused, or every tensor and key can be read.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fuzz/memory_file.h"
#include "io/gguf.h"

namespace {

// Results do not matter: getters must answer for any kind of value.
void get_as_every_kind(const mixtral::GgufMetadata& metadata, const std::string& key) {
  (void)metadata.get_u64(key);
  (void)metadata.get_f64(key);
  (void)metadata.get_bool(key);
  (void)metadata.get_string(key);
  (void)metadata.get_strings(key);
  (void)metadata.get_f64s(key);
  (void)metadata.get_i64s(key);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static mixtral::testing::MemoryFile file;
  file.set({reinterpret_cast<const char*>(data), size});
  const auto gguf = mixtral::GgufFile::open(file.path());
  if (!gguf) {
    if (gguf.error().message.find(file.path()) == std::string::npos) __builtin_trap();
    return 0;
  }
  for (const auto& [key, value] : gguf->metadata.items()) get_as_every_kind(gguf->metadata, key);
  for (const auto& entry : gguf->tensors.entries()) {
    std::vector<std::byte> bytes(entry->n_bytes);
    if (!entry->read(0, bytes)) __builtin_trap();
  }
  return 0;
}
