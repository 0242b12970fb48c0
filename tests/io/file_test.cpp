#include "io/file.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "io/bytes.h"
#include "support/golden.h"

namespace {

// What the system calls below do instead of their work.
struct Faults {
  int interruptions = 0;         // calls of pread and write that end with EINTR first
  size_t most_bytes = SIZE_MAX;  // that one pread or write moves
  int write_error = 0;           // errno of every write
  int sync_error = 0, rename_error = 0;
};
Faults faults;

}  // namespace

// These stand before libc's own functions for the whole test program.
extern "C" ssize_t write(int descriptor, const void* bytes, size_t n) {
  if (faults.interruptions > 0) {
    --faults.interruptions;
    errno = EINTR;
    return -1;
  }
  if (faults.write_error != 0) {
    errno = faults.write_error;
    return -1;
  }
  return syscall(SYS_write, descriptor, bytes, std::min(n, faults.most_bytes));
}
extern "C" ssize_t pread(int descriptor, void* bytes, size_t n, off_t offset) {
  if (faults.interruptions > 0) {
    --faults.interruptions;
    errno = EINTR;
    return -1;
  }
  return syscall(SYS_pread64, descriptor, bytes, std::min(n, faults.most_bytes), offset);
}
extern "C" int fsync(int descriptor) {
  if (faults.sync_error != 0) {
    errno = faults.sync_error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}
extern "C" int rename(const char* from, const char* to) noexcept {
  if (faults.rename_error != 0) {
    errno = faults.rename_error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_rename, from, to));
}

namespace mixtral {
namespace {

using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

class OutputFileTest : public ::testing::Test {
 protected:
  ~OutputFileTest() override { faults = {}; }
  std::span<const std::byte> bytes(std::string_view text) const {
    return std::as_bytes(std::span(text));
  }
  size_t n_files() const {
    return static_cast<size_t>(
        std::distance(std::filesystem::directory_iterator(folder_.path()), {}));
  }
  TemporaryFolder folder_;
  const std::string path_ = folder_.file("target");
};

TEST(InputFile, ReadsAnyPartDespiteInterruptionsAndShortReads) {
  const TemporaryFolder folder;
  write_bytes(folder.file("a"), "0123456789");
  const auto file = InputFile::open(folder.file("a"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->size(), 10u);
  std::string part(7, '\0');
  faults.interruptions = 2;
  faults.most_bytes = 3;
  const Status status = (*file)->read_at(2, std::as_writable_bytes(std::span(part)));
  faults = {};
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(part, "2345678");
}

TEST(InputFile, RefusesToReadPastTheEnd) {
  const TemporaryFolder folder;
  write_bytes(folder.file("a"), "0123456789");
  const auto file = InputFile::open(folder.file("a"));
  ASSERT_TRUE(file);
  std::string part(4, '\0');
  const auto out = std::as_writable_bytes(std::span(part));
  EXPECT_FALSE((*file)->read_at(7, out));
  EXPECT_FALSE((*file)->read_at(UINT64_MAX - 1, out));
  EXPECT_TRUE((*file)->read_at(6, out));
}

TEST(InputFile, SaysWhenTheFileShrankInUse) {
  const TemporaryFolder folder;
  write_bytes(folder.file("a"), "0123456789");
  const auto file = InputFile::open(folder.file("a"));
  ASSERT_TRUE(file);
  std::filesystem::resize_file(folder.file("a"), 5);
  std::string part(8, '\0');
  const Status status = (*file)->read_at(0, std::as_writable_bytes(std::span(part)));
  ASSERT_FALSE(status);
  expect_error(status.error(), ErrorCode::kIo, {folder.file("a"), "byte 5", "had 10 bytes"});
}

TEST(InputFile, NamesWhatCannotBeOpened) {
  const TemporaryFolder folder;
  const auto missing = InputFile::open(folder.file("none"));
  ASSERT_FALSE(missing);
  expect_error(missing.error(), ErrorCode::kNotFound, {folder.file("none"), "No such file"});
  const auto a_folder = InputFile::open(folder.path());
  ASSERT_FALSE(a_folder);
  expect_error(a_folder.error(), ErrorCode::kIo, {folder.path(), "a folder"});
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  const auto pipe = InputFile::open(folder.file("pipe"));
  ASSERT_FALSE(pipe);
  expect_error(pipe.error(), ErrorCode::kIo, {folder.file("pipe"), "pipe"});
}

TEST(InputFile, NamesAFileWithoutPermission) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read every file";
  const TemporaryFolder folder;
  write_bytes(folder.file("a"), "text");
  std::filesystem::permissions(folder.file("a"), std::filesystem::perms::none);
  const auto file = InputFile::open(folder.file("a"));
  ASSERT_FALSE(file);
  expect_error(file.error(), ErrorCode::kIo, {folder.file("a"), "Permission denied"});
}

TEST(ReadTextFile, HoldsTheLimit) {
  const TemporaryFolder folder;
  write_bytes(folder.file("a"), "0123456789");
  EXPECT_EQ(read_text_file(folder.file("a"), 10), "0123456789");
  const auto text = read_text_file(folder.file("a"), 9);
  ASSERT_FALSE(text);
  expect_error(text.error(), ErrorCode::kTooLarge, {folder.file("a"), "10 bytes", "at most 9"});
}

TEST_F(OutputFileTest, AppearsWholeUnderItsName) {
  auto file = OutputFile::create(path_);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->write(bytes("abc")));
  ASSERT_TRUE(file->pad_to(8));
  const std::string large(3 << 20, 'x');
  ASSERT_TRUE(file->write(bytes(large)));
  ASSERT_TRUE(file->write(bytes("end")));
  EXPECT_EQ(file->bytes_written(), 8 + large.size() + 3);
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(read_bytes(path_), std::string("abc\0\0\0\0\0", 8) + large + "end");
  EXPECT_EQ(n_files(), 1u);
}

TEST_F(OutputFileTest, LeavesNothingBehindWithoutCommit) {
  write_bytes(path_, "old");
  {
    auto file = OutputFile::create(path_);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(bytes(std::string(2 << 20, 'x'))));
    const OutputFile moved = *std::move(file);
  }
  EXPECT_EQ(read_bytes(path_), "old");
  EXPECT_EQ(n_files(), 1u);
}

TEST_F(OutputFileTest, WritesAllDespiteInterruptionsAndShortWrites) {
  auto file = OutputFile::create(path_);
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->write(bytes("some longer text")));
  faults.interruptions = 3;
  faults.most_bytes = 5;
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(read_bytes(path_), "some longer text");
}

TEST_F(OutputFileTest, KeepsTheOldFileWhenTheDiskIsFullOrFails) {
  for (const int error : {ENOSPC, EIO, EDQUOT}) {
    for (int Faults::*kind : {&Faults::write_error, &Faults::sync_error, &Faults::rename_error}) {
      write_bytes(path_, "old");
      {
        auto file = OutputFile::create(path_);
        ASSERT_TRUE(file);
        ASSERT_TRUE(file->write(bytes("new")));
        faults.*kind = error;
        const Status status = file->commit();
        ASSERT_FALSE(status);
        expect_error(status.error(), ErrorCode::kIo, {path_, strerror(error)});
        faults = {};
      }
      EXPECT_EQ(read_bytes(path_), "old");
      EXPECT_EQ(n_files(), 1u);
    }
  }
}

TEST_F(OutputFileTest, RefusesToCommitAfterAFailedWrite) {
  auto file = OutputFile::create(path_);
  ASSERT_TRUE(file);
  faults.write_error = ENOSPC;
  EXPECT_FALSE(file->write(bytes(std::string(2 << 20, 'x'))));
  faults = {};
  EXPECT_FALSE(file->commit());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(OutputFileTest, TakesOverWhatAKilledWriterLeft) {
  write_bytes(path_, "old");
  const pid_t child = fork();
  if (child == 0) {
    auto file = OutputFile::create(path_);
    const bool ok = file && file->write(bytes(std::string(2 << 20, 'x')));
    _exit(ok ? 0 : 1);  // no destructor runs, as after kill -9
  }
  int exit_status = -1;
  ASSERT_EQ(waitpid(child, &exit_status, 0), child);
  ASSERT_EQ(exit_status, 0);
  EXPECT_EQ(read_bytes(path_), "old");
  EXPECT_EQ(n_files(), 2u);
  auto file = OutputFile::create(path_);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->write(bytes("new")));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(read_bytes(path_), "new");
  EXPECT_EQ(n_files(), 1u);
}

TEST_F(OutputFileTest, RefusesASecondWriterOfTheSameName) {
  auto first = OutputFile::create(path_);
  ASSERT_TRUE(first);
  const auto second = OutputFile::create(path_);
  ASSERT_FALSE(second);
  expect_error(second.error(), ErrorCode::kIo, {path_, "another process"});
  ASSERT_TRUE(first->write(bytes("first")));
  ASSERT_TRUE(first->commit());
  EXPECT_TRUE(OutputFile::create(path_));
}

TEST_F(OutputFileTest, RefusesTargetsThatItCouldNotReplace) {
  const auto no_folder = OutputFile::create(folder_.file("none/target"));
  ASSERT_FALSE(no_folder);
  expect_error(no_folder.error(), ErrorCode::kNotFound, {folder_.file("none"), "folder"});
  const auto a_folder = OutputFile::create(folder_.path());
  ASSERT_FALSE(a_folder);
  expect_error(a_folder.error(), ErrorCode::kBadInput, {folder_.path(), "not a regular file"});
  const auto device = OutputFile::create("/dev/null");
  ASSERT_FALSE(device);
  expect_error(device.error(), ErrorCode::kBadInput, {"/dev/null", "not a regular file"});
}

}  // namespace
}  // namespace mixtral
