// Files without a disk, for readers that want a path: thousands of inputs a second.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
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

/// A folder, in memory where the system has one, that is gone with this. Not thread-safe.
class MemoryFolder {
 public:
  MemoryFolder() : path_(std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") {
    path_ += "/mixtral-fuzz-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~MemoryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  MemoryFolder(const MemoryFolder&) = delete;
  MemoryFolder& operator=(const MemoryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

  /// Replaces the content of one file.
  void write(std::string_view name, std::string_view bytes) const {
    std::ofstream(file(name), std::ios::binary) << bytes;
  }
  void remove(std::string_view name) const { std::filesystem::remove(file(name)); }

 private:
  std::string path_;
};

}  // namespace mixtral::testing
