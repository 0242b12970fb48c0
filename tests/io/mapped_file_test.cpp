#include "io/mapped_file.h"

#include <filesystem>

#include "io/bytes.h"
#include "support/golden.h"

namespace mixtral {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;
using testing::write_bytes;

Result<std::shared_ptr<const MappedFile>> map(const std::string& path) {
  MIXTRAL_TRY(auto file, InputFile::open(path));
  return MappedFile::map(std::move(file));
}

TEST(MappedFile, HoldsTheBytesOfTheFileEvenWhenItsNameIsGone) {
  const TemporaryFolder folder;
  const std::string path = folder.file("file"), bytes(10'000, 'x');
  write_bytes(path, bytes);
  const auto mapped = map(path);
  ASSERT_TRUE(mapped) << mapped.error().message;
  std::filesystem::remove(path);
  EXPECT_TRUE((*mapped)->fetch(1, 9'999));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>((*mapped)->data()), bytes.size()), bytes);
}

TEST(MappedFile, FetchFailsWhereTheFileHasLostItsBytes) {
  const TemporaryFolder folder;
  const std::string path = folder.file("file");
  write_bytes(path, std::string(1 << 20, 'x'));
  const auto mapped = map(path);
  ASSERT_TRUE(mapped) << mapped.error().message;
  std::filesystem::resize_file(path, 4096);
  EXPECT_TRUE((*mapped)->fetch(0, 4096));
  const Status fetched = (*mapped)->fetch(100, 1'000'000);
  ASSERT_FALSE(fetched);
  expect_error(fetched.error(), ErrorCode::kIo,
               {path, "1000000 bytes at byte 100", "ends at byte 4096"});
}

}  // namespace
}  // namespace mixtral
