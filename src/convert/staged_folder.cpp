#include "convert/staged_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <vector>

namespace mixtral {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> cannot(const fs::path& path, std::string_view what, std::error_code error) {
  return fail(ErrorCode::kIo, "{}: cannot {}: {}", path.string(), what, error.message());
}

std::error_code last_error() { return {errno, std::generic_category()}; }

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

/// True for the files that decide which model a folder holds: one of an older model among those of
/// a new one would mix the two.
bool decides_model(const fs::path& file) {
  const std::string name = file.filename().string();
  return name == "config.json" || name == "params.json" || name == "model.safetensors.index.json" ||
         (file.extension() == ".safetensors" &&
          (name.rfind("model", 0) == 0 || name.rfind("consolidated", 0) == 0));
}

Result<std::vector<fs::path>> files_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (!it->is_directory()) files.push_back(it->path());
  if (error) return cannot(folder, "list the folder", error);
  return files;
}

Status check_target(const std::string& path, bool replace) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return {};
  if (!fs::is_directory(status))
    return fail(ErrorCode::kBadInput, "{}: is a file, expected a folder or nothing there", path);
  const bool empty = fs::is_empty(path, error);
  if (error) return cannot(path, "list the folder", error);
  if (!empty && !replace)
    return fail(ErrorCode::kBadInput, "{}: exists already and is not empty (--force replaces it)",
                path);
  return {};
}

}  // namespace

Result<StagedFolder> StagedFolder::create(const std::string& path, bool replace) {
  const OutputGuard guard;  // from before there is a folder to when the StagedFolder has its own
  const std::string target = without_trailing_slashes(path);
  MIXTRAL_TRY(check_target(target, replace));
  const std::string partial = target + ".partial";
  std::error_code error;
  fs::create_directory(partial, error);
  if (error == std::errc::no_such_file_or_directory)
    return fail(ErrorCode::kNotFound, "{}: the folder to create it in does not exist", target);
  if (error) return cannot(partial, "create", error);
  const int lock = ::open(partial.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (lock < 0) return cannot(partial, "open", last_error());
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return fail(ErrorCode::kIo, "{}: another process is writing this folder ({})", target, partial);
  }
  StagedFolder folder(target, partial, lock);
  MIXTRAL_TRY(const std::vector<fs::path> left_over, files_of(partial));
  for (const fs::path& file : left_over) fs::remove(file, error);
  return folder;
}

StagedFolder::StagedFolder(StagedFolder&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      lock_(std::exchange(other.lock_, -1)) {}

StagedFolder::~StagedFolder() {
  if (lock_ < 0) return;
  remove_partial();
  ::close(lock_);
}

void StagedFolder::remove_partial() const {
  std::error_code ignored;
  if (const auto files = files_of(partial_))
    for (const fs::path& file : *files) fs::remove(file, ignored);
  fs::remove(partial_, ignored);
}

Status StagedFolder::commit() {
  std::error_code error;
  fs::rename(partial_, path_, error);  // also onto an empty folder
  if (error == std::errc::directory_not_empty || error == std::errc::file_exists) {
    MIXTRAL_TRY(merge_into_existing());
  } else if (error) {
    return cannot(path_, "create", error);
  }
  ::close(std::exchange(lock_, -1));
  return {};
}

Status StagedFolder::merge_into_existing() {
  std::error_code error;
  MIXTRAL_TRY(const std::vector<fs::path> old_files, files_of(path_));
  for (const fs::path& file : old_files) {
    if (!decides_model(file)) continue;
    if (!fs::remove(file, error)) return cannot(file, "remove", error);
  }
  MIXTRAL_TRY(const std::vector<fs::path> files, files_of(partial_));
  const auto move = [&](const fs::path& file) -> Status {
    fs::rename(file, fs::path(path_) / file.filename(), error);
    if (error) return cannot(path_, fmt::format("move {} there", file.string()), error);
    return {};
  };
  for (const fs::path& file : files)
    if (file.filename() != "config.json") MIXTRAL_TRY(move(file));
  for (const fs::path& file : files)
    if (file.filename() == "config.json") MIXTRAL_TRY(move(file));
  remove_partial();
  return {};
}

}  // namespace mixtral
