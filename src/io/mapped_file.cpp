#include "io/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

namespace mixtral {
namespace {

// Linux 5.14: maps the pages of a range, reading those that are not in memory. Older headers lack
// the name, older kernels answer EINVAL.
constexpr int kPopulateRead = 22;

uint64_t page_size() { return static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::map(std::shared_ptr<const InputFile> file) {
  // Shared or private makes no difference to a reader of a file that nobody writes; shared says so.
  void* memory = ::mmap(nullptr, file->size(), PROT_READ, MAP_SHARED, file->descriptor(), 0);
  if (memory == MAP_FAILED) {
    return fail(ErrorCode::kIo, "{}: cannot map its {} bytes: {}", file->path(), file->size(),
                std::generic_category().message(errno));
  }
  // Where the file system has large folios, what is yet to be read comes in pages of 2 MB.
  ::madvise(memory, file->size(), MADV_HUGEPAGE);
  return std::shared_ptr<const MappedFile>(
      new MappedFile(std::move(file), static_cast<std::byte*>(memory)));
}

MappedFile::~MappedFile() { ::munmap(data_, file_->size()); }

Status MappedFile::fetch(uint64_t offset, uint64_t n_bytes) const {
  if (n_bytes == 0) return {};
  struct stat now {};
  if (::fstat(file_->descriptor(), &now) == 0 &&
      static_cast<uint64_t>(now.st_size) < offset + n_bytes) {
    return fail(ErrorCode::kIo, "{}: cut while in use: {} bytes at byte {}, but it ends at byte {}",
                file_->path(), n_bytes, offset, now.st_size);
  }
  const uint64_t page = page_size(), begin = offset / page * page;
  const uint64_t length = offset + n_bytes - begin;
  std::byte* const address = data_ + begin;
  std::vector<unsigned char> resident((length + page - 1) / page);
  // Of files that this process could not write the system says that all pages are there, since what
  // others read is no business of ours: these pages come when they are touched.
  const bool known = ::mincore(address, length, resident.data()) == 0;
  const auto in_memory = [](unsigned char state) { return (state & 1) != 0; };
  if (known && std::all_of(resident.begin(), resident.end(), in_memory)) return {};
  while (::madvise(address, length, kPopulateRead) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    if (errno == EINVAL) {  // an older kernel: the pages come when they are touched
      ::madvise(address, length, MADV_WILLNEED);
      return {};
    }
    return fail(ErrorCode::kIo, "{}: cannot bring {} bytes at byte {} into memory: {}",
                file_->path(), n_bytes, offset, std::generic_category().message(errno));
  }
  return {};
}

}  // namespace mixtral
