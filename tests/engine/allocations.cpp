#include "engine/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<size_t> n_calls = 0;
}  // namespace

// Never inlined: a compiler that sees through to free() takes the pair for a mistake.
[[gnu::noinline]] void* operator new(size_t n_bytes) {
  n_calls += 1;
  void* memory = std::malloc(n_bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace mixtral::testing {
size_t n_allocations() { return n_calls; }
}  // namespace mixtral::testing
