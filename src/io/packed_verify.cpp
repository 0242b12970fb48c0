#include <algorithm>
#include <vector>

#include "core/arena.h"
#include "core/progress_task.h"
#include "io/packed.h"
#include "io/quoted.h"

namespace mixtral {
namespace {

constexpr uint64_t kReadBytes = uint64_t{1} << 20;

Result<uint64_t> checksum_of(const InputFile& file, const PackedPart& part, ProgressTask& done) {
  const AlignedBuffer buffer(std::min(kReadBytes, part.n_bytes));
  if (buffer.data() == nullptr)
    return fail(ErrorCode::kTooLarge, "{}: no memory for {} bytes", file.path(), kReadBytes);
  Checksum checksum;
  for (uint64_t at = 0; at < part.n_bytes; at += buffer.size()) {
    const std::span<std::byte> piece(buffer.data(),
                                     std::min<uint64_t>(buffer.size(), part.n_bytes - at));
    MIXTRAL_TRY(file.read_at(part.offset + at, piece));
    checksum.add(piece);
    done.add(piece.size());
  }
  return checksum.value();
}

}  // namespace

Status PackedFile::verify(ThreadPool& pool, Progress* progress) const {
  uint64_t total = 0;
  for (const PackedPart& part : parts) total += part.n_bytes;
  ProgressTask done(progress, "verifying", total);
  std::vector<Status> results(parts.size());
  pool.for_each(parts.size(), [&](size_t index, size_t) {
    const Result<uint64_t> found = checksum_of(*file, parts[index], done);
    if (!found) {
      results[index] = tl::unexpected(found.error());
    } else if (*found != parts[index].checksum) {
      results[index] = fail(
          ErrorCode::kBadInput,
          "{}: tensor {}: checksum {:016x}, expected {:016x}: the file is damaged", file->path(),
          in_quotes(tensors.entries()[index]->name), *found, parts[index].checksum);
    }
  });
  for (Status& result : results) MIXTRAL_TRY(std::move(result));
  return {};
}

}  // namespace mixtral
