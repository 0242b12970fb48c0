// Broken invariants: a message on standard error and abort. Never for outside input, which gets a
// Result.
#pragma once

namespace mixtral::internal {
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const char* what);
}  // namespace mixtral::internal

#define MIXTRAL_CHECK(condition, what)                                         \
  do {                                                                         \
    if (!(condition)) [[unlikely]]                                             \
      ::mixtral::internal::check_failed(__FILE__, __LINE__, #condition, what); \
  } while (false)

#ifdef NDEBUG
#define MIXTRAL_DCHECK(condition, what) \
  do {                                  \
    (void)sizeof(condition);            \
  } while (false)
#else
#define MIXTRAL_DCHECK(condition, what) MIXTRAL_CHECK(condition, what)
#endif
