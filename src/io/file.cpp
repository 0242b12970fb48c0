#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/checked.h"

namespace mixtral {
namespace {

std::string system_message(int error) { return std::generic_category().message(error); }

Status check_regular(const std::string& path, const struct stat& status) {
  if (S_ISDIR(status.st_mode)) return fail(ErrorCode::kIo, "{}: a folder, expected a file", path);
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kIo, "{}: a device or pipe, expected a regular file", path);
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const InputFile>> InputFile::open(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for its writer. Regular files ignore it.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    const int error = errno;
    const bool missing = error == ENOENT || error == ENOTDIR;
    return fail(missing ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: cannot open: {}", path,
                system_message(error));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    const int error = errno;
    ::close(descriptor);
    return fail(ErrorCode::kIo, "{}: cannot read its size: {}", path, system_message(error));
  }
  std::shared_ptr<const InputFile> file(
      new InputFile(path, descriptor, static_cast<uint64_t>(status.st_size)));
  MIXTRAL_TRY(check_regular(path, status));
  return file;
}

InputFile::~InputFile() { ::close(descriptor_); }

Status InputFile::read_at(uint64_t offset, std::span<std::byte> out) const {
  if (!(CheckedSize(offset) + CheckedSize(out.size())).fits(size_)) {
    return fail(ErrorCode::kBadInput, "{}: {} bytes expected at byte {}, but the file has {}",
                path_, out.size(), offset, size_);
  }
  while (!out.empty()) {
    const ssize_t n = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail(ErrorCode::kIo, "{}: cannot read {} bytes at byte {}: {}", path_, out.size(),
                  offset, system_message(errno));
    }
    if (n == 0) {
      return fail(ErrorCode::kIo, "{}: ends at byte {}, but had {} bytes when it was opened", path_,
                  offset, size_);
    }
    offset += static_cast<uint64_t>(n);
    out = out.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<std::string> read_text_file(const std::string& path, uint64_t limit_bytes) {
  MIXTRAL_TRY(const auto file, InputFile::open(path));
  if (file->size() > limit_bytes) {
    return fail(ErrorCode::kTooLarge, "{}: {} bytes, expected at most {}", path, file->size(),
                limit_bytes);
  }
  std::string text(file->size(), '\0');
  MIXTRAL_TRY(file->read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace mixtral
