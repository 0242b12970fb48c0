// A whole packed model from anywhere: refused, or loaded by both backends, and verified. The fuzzer
// need not guess the header's checksum.
#include <cstddef>
#include <cstdint>

#include "cpu/cpu_backend.h"
#include "io/packed.h"
#include "io/packed_bytes.h"
#include "memory_file.h"
#include "model/checkpoint.h"
#include "model/transformer.h"
#include "ops/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static mixtral::testing::MemoryFile file;
  static mixtral::ThreadPool pool(1);
  static const auto cpu = mixtral::make_cpu_backend({.n_threads = 1, .isa = mixtral::Isa::kScalar});
  std::string bytes(reinterpret_cast<const char*>(data), size);
  mixtral::testing::seal_packed_header(bytes);
  file.set(bytes);
  if (const auto packed = mixtral::PackedFile::open(file.path()))
    (void)packed->verify(pool, nullptr);
  const auto checkpoint = mixtral::Checkpoint::open(file.path());
  if (!checkpoint) return 0;
  const auto reference = mixtral::make_reference_backend();
  const auto model = mixtral::Transformer::load(*checkpoint, *reference);
  if (model && (*model)->weight_bytes() > size) __builtin_trap();
  (void)mixtral::Transformer::load(*checkpoint, **cpu);
  return 0;
}
