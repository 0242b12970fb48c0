// A whole GGUF model from anywhere: refused, or loaded by the reference backend with every weight
// checked.
#include <cstddef>
#include <cstdint>

#include "memory_file.h"
#include "model/checkpoint.h"
#include "model/transformer.h"
#include "ops/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static mixtral::testing::MemoryFile file;
  file.set({reinterpret_cast<const char*>(data), size});
  const auto checkpoint = mixtral::Checkpoint::open(file.path());
  if (!checkpoint) return 0;
  const auto backend = mixtral::make_reference_backend();
  const auto model = mixtral::Transformer::load(*checkpoint, *backend);
  if (model && (*model)->weight_bytes() > size) __builtin_trap();
  return 0;
}
