// Files as the program sees them: read at an offset, or written whole so that a crash loses
// nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "core/result.h"

namespace mixtral {

/// A regular file open for reading. Immutable; read_at may run on several threads at once.
class InputFile {
 public:
  /// Fails with kNotFound or kIo (no permission, a folder, a device), naming the path.
  static Result<std::shared_ptr<const InputFile>> open(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  /// For the system's calls; stays this file's.
  int descriptor() const { return descriptor_; }

  /// Fills `out` from byte `offset` with pread, so that a file cut while in use is an error and no
  /// signal.
  Status read_at(uint64_t offset, std::span<std::byte> out) const;

 private:
  InputFile(std::string path, int descriptor, uint64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}
  std::string path_;
  int descriptor_;
  uint64_t size_;
};

/// The whole content of a small file. Fails with kTooLarge above `limit_bytes`.
Result<std::string> read_text_file(const std::string& path, uint64_t limit_bytes);

/// Fails with kBadInput or kNotFound where no file can appear under `path`: an empty name, a folder
/// that does not exist, something there that is no regular file.
Status check_output_path(const std::string& path);

/// Fails with kIo, naming both, if the disk of `path` has less room than `n_bytes`. Where the
/// system does not say how much there is, nothing fails.
Status check_disk_space(const std::string& path, uint64_t n_bytes);

/// Makes every write to an OutputFile fail with kCancelled from now on, so that what is half
/// written goes away as after any failure. For signal handlers. False if no OutputGuard exists.
bool cancel_output_files();

/// Exists as long as there is something half written that has to go away.
class OutputGuard {
 public:
  OutputGuard();
  OutputGuard(OutputGuard&&) noexcept : OutputGuard() {}
  OutputGuard& operator=(OutputGuard&&) = delete;
  ~OutputGuard();
};

/// A file that appears under its name only when complete: written beside it as "NAME.partial", then
/// fsync and rename. Two writers of one name do not mix: the second fails. Not thread-safe.
class OutputFile {
 public:
  /// Fails if the folder does not exist, or if `path` is there and no regular file.
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  /// Removes the temporary file unless commit() succeeded.
  ~OutputFile();

  const std::string& path() const { return path_; }
  uint64_t bytes_written() const { return written_; }

  /// Appends; buffered.
  Status write(std::span<const std::byte> bytes);
  /// Appends zeros until bytes_written() is a multiple of `alignment`.
  Status pad_to(uint64_t alignment);
  /// Puts other bytes in the place of bytes already written.
  Status overwrite(uint64_t offset, std::span<const std::byte> bytes);
  /// Flushes, syncs, renames to path() and syncs the folder.
  Status commit();

 private:
  OutputFile(std::string path, std::string temporary, int descriptor);
  Status flush();
  Status write_through(std::span<const std::byte> bytes);
  OutputGuard guard_;
  std::string path_, temporary_;
  int descriptor_ = -1;  ///< -1 once committed or moved from
  bool failed_ = false;
  uint64_t written_ = 0;
  std::string buffer_;
};

}  // namespace mixtral
