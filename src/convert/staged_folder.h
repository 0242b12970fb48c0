// A folder of model files that appears under its name only when complete.
#pragma once

#include <string>

#include "core/result.h"
#include "io/file.h"

namespace mixtral {

/// Files are written into "NAME.partial", which commit() renames. Not thread-safe.
class StagedFolder {
 public:
  /// Fails with kBadInput if `path` is a file, or a folder that is not empty and `replace` is not
  /// set; with kIo if another process is writing this folder. What a killed run left is taken over.
  static Result<StagedFolder> create(const std::string& path, bool replace);
  StagedFolder(StagedFolder&& other) noexcept;
  StagedFolder& operator=(StagedFolder&&) = delete;
  /// Removes the partial folder unless commit() succeeded.
  ~StagedFolder();

  /// Where to write the file that will be `name` in the folder.
  std::string file(const std::string& name) const { return partial_ + "/" + name; }

  /// Moves the files to their place. In a folder that was there before, weights and config are
  /// removed first and other files that are not written anew stay; config.json arrives last.
  Status commit();

 private:
  StagedFolder(std::string path, std::string partial, int lock)
      : path_(std::move(path)), partial_(std::move(partial)), lock_(lock) {}
  Status merge_into_existing();
  void remove_partial() const;

  OutputGuard guard_;
  std::string path_, partial_;
  int lock_ = -1;  // descriptor of the partial folder; -1 once committed or moved from
};

}  // namespace mixtral
