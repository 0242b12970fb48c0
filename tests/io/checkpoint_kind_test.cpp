#include "io/checkpoint_kind.h"

#include <unistd.h>

#include <filesystem>

#include "io/bytes.h"
#include "support/golden.h"

namespace mixtral {
namespace {

using testing::expect_error;
using testing::write_bytes;

class DetectCheckpoint : public ::testing::Test {
 protected:
  void write(const std::string& name, std::string_view bytes = "x") const {
    write_bytes(folder_.file(name), bytes);
  }
  void expect_refused(const std::string& path, ErrorCode code,
                      std::vector<std::string> parts) const {
    const auto kind = detect_checkpoint(path);
    ASSERT_FALSE(kind);
    parts.push_back(path);
    expect_error(kind.error(), code, parts);
  }
  testing::TemporaryFolder folder_;
};

TEST_F(DetectCheckpoint, KnowsAGgufFileByItsFirstBytes) {
  write("any name", "GGUFx");
  EXPECT_EQ(detect_checkpoint(folder_.file("any name")), CheckpointKind::kGguf);
}

TEST_F(DetectCheckpoint, KnowsFoldersByTheirConfig) {
  write("config.json");
  EXPECT_EQ(detect_checkpoint(folder_.path()), CheckpointKind::kHuggingFace);
  write("params.json");
  EXPECT_EQ(detect_checkpoint(folder_.path()), CheckpointKind::kHuggingFace);
  write("consolidated.safetensors");
  EXPECT_EQ(detect_checkpoint(folder_.path()), CheckpointKind::kMistral);
  write("model-00001-of-00002.safetensors");
  EXPECT_EQ(detect_checkpoint(folder_.path()), CheckpointKind::kHuggingFace);
  std::filesystem::remove(folder_.file("config.json"));
  EXPECT_EQ(detect_checkpoint(folder_.path()), CheckpointKind::kMistral);
}

TEST_F(DetectCheckpoint, SaysWhatAFileIsInstead) {
  const auto refused = [&](const std::string& name, std::string_view bytes, ErrorCode code,
                           std::vector<std::string> parts) {
    write(name, bytes);
    expect_refused(folder_.file(name), code, std::move(parts));
  };
  refused("empty", "", ErrorCode::kBadInput, {"empty file", "GGUF file"});
  refused("text", "hello", ErrorCode::kBadInput, {"no GGUF file", "config.json"});
  refused("short", "h", ErrorCode::kBadInput, {"no GGUF file"});
  refused("big", "FUGGx", ErrorCode::kUnsupported, {"big-endian"});
  refused("old", "tjggx", ErrorCode::kUnsupported, {"before GGUF"});
  refused("a.safetensors", "x", ErrorCode::kBadInput, {"name its folder", folder_.path()});
  refused("a.pth", "x", ErrorCode::kUnsupported, {"pickle", "run any code", "torch.load"});
  refused("zip", "PK\x03\x04...", ErrorCode::kUnsupported, {"pickle"});
  refused("pickle", "\x80\x02}", ErrorCode::kUnsupported, {"pickle"});
}

TEST_F(DetectCheckpoint, SaysWhatAFolderIsInstead) {
  expect_refused(folder_.path(), ErrorCode::kBadInput, {"no model", "config.json", "params.json"});
  write("a.gguf");
  expect_refused(folder_.path(), ErrorCode::kBadInput, {"GGUF files", folder_.file("a.gguf")});
  expect_refused(folder_.file("none"), ErrorCode::kNotFound, {"No such file"});
}

TEST_F(DetectCheckpoint, SaysWhenThereIsNoPermission) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read every file";
  write("a.gguf", "GGUF");
  std::filesystem::permissions(folder_.file("a.gguf"), std::filesystem::perms::none);
  expect_refused(folder_.file("a.gguf"), ErrorCode::kIo, {"Permission denied"});
  std::filesystem::permissions(folder_.path(), std::filesystem::perms::none);
  expect_refused(folder_.path(), ErrorCode::kIo, {"Permission denied"});
  std::filesystem::permissions(folder_.path(), std::filesystem::perms::owner_all);
}

TEST(DetectGoldenCheckpoints, KnowsEachOfThem) {
  MIXTRAL_FIND_GOLDEN(gguf, "gguf/mixtral-Q4_0.gguf");
  MIXTRAL_FIND_GOLDEN(hugging_face, "models/mixtral-small-bf16");
  MIXTRAL_FIND_GOLDEN(mistral, "models/mixtral-tiny-f32-mistral");
  EXPECT_EQ(detect_checkpoint(gguf), CheckpointKind::kGguf);
  EXPECT_EQ(detect_checkpoint(hugging_face), CheckpointKind::kHuggingFace);
  EXPECT_EQ(detect_checkpoint(mistral), CheckpointKind::kMistral);
}

}  // namespace
}  // namespace mixtral
