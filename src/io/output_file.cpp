#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/check.h"
#include "core/checked.h"
#include "io/file.h"

namespace mixtral {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

std::atomic<size_t> n_guards = 0;
std::atomic<bool> cancelled = false;
static_assert(std::atomic<size_t>::is_always_lock_free, "a signal handler reads it");

tl::unexpected<Error> cannot(const std::string& path, std::string_view what, int error) {
  const bool missing = error == ENOENT || error == ENOTDIR;
  return fail(missing ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: cannot {}: {}", path, what,
              std::generic_category().message(error));
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// The temporary file's name is fixed, so that the next run takes over what a killed one left. The
// lock tells a left-over from a file that another process is writing now.
Result<int> open_locked(const std::string& path, const std::string& temporary) {
  while (true) {
    const int descriptor =
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor < 0) return cannot(temporary, "create", errno);
    const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno == EWOULDBLOCK) {
      ::close(descriptor);
      return fail(ErrorCode::kIo, "{}: another process is writing this file ({})", path, temporary);
    }
    // Another writer may have renamed or removed it between open and lock; then begin again.
    struct stat opened {
    }, named{};
    if (::fstat(descriptor, &opened) == 0 && ::lstat(temporary.c_str(), &named) == 0 &&
        opened.st_ino == named.st_ino && opened.st_dev == named.st_dev) {
      return descriptor;
    }
    ::close(descriptor);
  }
}

// Makes the rename itself last through a power cut.
Status sync_folder(const std::string& path) {
  const std::string folder = folder_of(path);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return cannot(folder, "open the folder to sync it", errno);
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some network file systems cannot sync a folder and say so with EINVAL.
  if (error != 0 && error != EINVAL) return cannot(folder, "sync the folder", error);
  return {};
}

}  // namespace

// Renaming over a device or a folder would replace it or fail late: refuse before any work is done.
Status check_output_path(const std::string& path) {
  if (path.empty()) return fail(ErrorCode::kBadInput, "no name for the file to write");
  const std::string folder = folder_of(path);
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) return cannot(folder, "find the target folder", errno);
  if (!S_ISDIR(status.st_mode)) {
    return fail(ErrorCode::kBadInput, "{}: not a folder, cannot write {} into it", folder, path);
  }
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kBadInput, "{}: exists and is not a regular file, cannot replace it",
                path);
  }
  return {};
}

Status check_disk_space(const std::string& path, uint64_t n_bytes) {
  struct statvfs disk {};
  if (::statvfs(folder_of(path).c_str(), &disk) != 0) return {};
  const uint64_t available = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (available >= n_bytes) return {};
  return fail(ErrorCode::kIo, "{}: {} MB are to be written, but the disk has room for {} MB", path,
              n_bytes / 1000000, available / 1000000);
}

OutputGuard::OutputGuard() { n_guards += 1; }
OutputGuard::~OutputGuard() { n_guards -= 1; }

bool cancel_output_files() {
  cancelled = true;
  return n_guards != 0;
}

Result<OutputFile> OutputFile::create(const std::string& path) {
  MIXTRAL_TRY(check_output_path(path));
  const OutputGuard guard;  // from before there is a file to when the OutputFile has its own
  const std::string temporary = path + ".partial";
  MIXTRAL_TRY(const int descriptor, open_locked(path, temporary));
  OutputFile file(path, temporary, descriptor);
  if (::ftruncate(descriptor, 0) != 0) return cannot(temporary, "empty", errno);
  return file;
}

OutputFile::OutputFile(std::string path, std::string temporary, int descriptor)
    : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      written_(other.written_),
      buffer_(std::move(other.buffer_)) {}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

Status OutputFile::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    MIXTRAL_TRY(flush());
    if (bytes.size() >= kBufferBytes) return write_through(bytes);
  }
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return {};
}

Status OutputFile::pad_to(uint64_t alignment) {
  static constexpr std::byte kZeros[256] = {};
  uint64_t missing = (alignment - written_ % alignment) % alignment;
  while (missing > 0) {
    const auto n = static_cast<size_t>(std::min<uint64_t>(missing, sizeof kZeros));
    MIXTRAL_TRY(write(std::span(kZeros).first(n)));
    missing -= n;
  }
  return {};
}

Status OutputFile::overwrite(uint64_t offset, std::span<const std::byte> bytes) {
  MIXTRAL_CHECK((CheckedSize(offset) + CheckedSize(bytes.size())).fits(written_),
                "overwriting bytes that were not written");
  MIXTRAL_TRY(flush());
  if (::lseek(descriptor_, static_cast<off_t>(offset), SEEK_SET) < 0)
    return cannot(path_, "go back", errno);
  MIXTRAL_TRY(write_through(bytes));
  if (::lseek(descriptor_, 0, SEEK_END) < 0) return cannot(path_, "go to its end", errno);
  return {};
}

Status OutputFile::commit() {
  MIXTRAL_TRY(flush());
  if (failed_) return fail(ErrorCode::kIo, "{}: an earlier write failed", path_);
  if (::fsync(descriptor_) != 0) return cannot(path_, "write to the disk", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return cannot(path_, "replace", errno);
  ::close(std::exchange(descriptor_, -1));
  return sync_folder(path_);
}

Status OutputFile::flush() {
  const Status status = write_through(std::as_bytes(std::span(buffer_)));
  buffer_.clear();
  return status;
}

Status OutputFile::write_through(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (cancelled) return fail(ErrorCode::kCancelled, "{}: interrupted, not written", path_);
    const ssize_t n = ::write(descriptor_, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      failed_ = true;
      return cannot(path_, fmt::format("write {} bytes", bytes.size()), errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace mixtral
