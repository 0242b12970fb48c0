#include "core/check.h"

#include <cstdio>
#include <cstdlib>

namespace mixtral::internal {

void check_failed(const char* file, int line, const char* condition, const char* what) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s (%s)\n", file, line, what, condition);
  std::abort();
}

}  // namespace mixtral::internal
