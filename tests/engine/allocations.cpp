#include "engine/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MIXTRAL_THREAD_SANITIZER
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define MIXTRAL_THREAD_SANITIZER
#endif

#ifdef MIXTRAL_THREAD_SANITIZER

namespace mixtral::testing {
std::optional<size_t> n_allocations() { return std::nullopt; }
}  // namespace mixtral::testing

#else

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
[[gnu::noinline]] void* operator new(size_t n_bytes, const std::nothrow_t&) noexcept {
  n_calls += 1;
  return std::malloc(n_bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace mixtral::testing {
std::optional<size_t> n_allocations() { return n_calls; }
}  // namespace mixtral::testing

#endif
