// Any bytes as a safetensors file ("F" before them), or as an index and its only shard ("I" before
// them, a zero byte between them): refused, or every tensor can be read.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/memory_file.h"
#include "io/safetensors.h"

namespace {

void read_all(const mixtral::TensorTable& table) {
  for (const auto& entry : table.entries()) {
    std::vector<std::byte> bytes(entry->n_bytes);
    if (!entry->read(0, bytes)) __builtin_trap();
  }
}

void run_file(std::string_view bytes) {
  static mixtral::testing::MemoryFile file;
  file.set(bytes);
  mixtral::TensorTable table;
  std::map<std::string, std::string> metadata;
  const mixtral::Status status = mixtral::add_safetensors(file.path(), table, &metadata);
  if (!status && status.error().message.find(file.path()) == std::string::npos) __builtin_trap();
  if (status) read_all(table);
  (void)mixtral::read_safetensors(file.path());
}

void run_index(std::string_view bytes) {
  static const mixtral::testing::MemoryFolder folder;
  const size_t zero = bytes.find('\0');
  const bool has_shard = zero != std::string_view::npos;
  folder.write("model.safetensors.index.json", bytes.substr(0, zero));
  folder.write("a.safetensors", has_shard ? bytes.substr(zero + 1) : std::string_view());
  if (const auto table = mixtral::open_safetensors_folder(folder.path())) read_all(*table);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] == 'F') run_file(bytes);
  if (data[0] == 'I') run_index(bytes);
  return 0;
}
