// A file without a disk, for readers that want a path: thousands of inputs a second.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace mixtral::testing {

/// An anonymous file in memory that others open by path(). Not thread-safe.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("mixtral-test", MFD_CLOEXEC)) {}
  explicit MemoryFile(std::string_view bytes) : MemoryFile() { set(bytes); }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

  /// Replaces the content.
  void set(std::string_view bytes) {
    const bool ok =
        ftruncate(descriptor_, 0) == 0 &&
        pwrite(descriptor_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
    if (!ok) std::abort();
  }

 private:
  int descriptor_;
};

}  // namespace mixtral::testing
