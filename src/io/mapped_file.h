// A file as memory: its pages come from the disk when they are needed, and stay in the page cache
// for the next start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/result.h"
#include "io/file.h"

namespace mixtral {

/// All bytes of a file, read-only. Immutable and thread-safe. A page that the file has lost since
/// it was opened, or that the disk cannot give, raises SIGBUS when it is touched; apps/ turns that
/// into a message (docs/adr/0006-packed-models.md).
class MappedFile {
 public:
  /// Fails with kIo if the system has no addresses left, or does not map such files.
  static Result<std::shared_ptr<const MappedFile>> map(std::shared_ptr<const InputFile> file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const InputFile& file() const { return *file_; }
  const std::byte* data() const { return data_; }

  /// Waits until these bytes are in memory, if some of them are not. Fails with kIo where touching
  /// them would raise SIGBUS.
  Status fetch(uint64_t offset, uint64_t n_bytes) const;

 private:
  MappedFile(std::shared_ptr<const InputFile> file, std::byte* data)
      : file_(std::move(file)), data_(data) {}
  std::shared_ptr<const InputFile> file_;
  std::byte* data_;
};

}  // namespace mixtral
