#include "io/packed.h"

#include <filesystem>

#include "fuzz/memory_file.h"
#include "io/bytes.h"
#include "io/packed_bytes.h"
#include "io/packed_layout.h"
#include "quant/panel.h"
#include "support/golden.h"

namespace mixtral {
namespace {

using testing::expect_error;
using testing::MemoryFile;
using testing::read_bytes;
using testing::seal_packed_header;
using testing::TemporaryFolder;

const std::vector<PackedTensorInfo>& tensor_infos() {
  static const std::vector<PackedTensorInfo> infos = {{"matrix", Type::kQ8_0, {17, 32}, true},
                                                      {"vector", Type::kF32, {5}, false},
                                                      {"last", Type::kF16, {3, 2}, true}};
  return infos;
}

GgufMetadata metadata() {
  GgufMetadata metadata;
  metadata.set("general.name", std::string("a name"));
  metadata.set("list", std::vector<int64_t>{1, -2});
  metadata.set("float", 0.1);  // no float of 32 bits has this value
  return metadata;
}

// Of each tensor the bytes that the writer is given.
std::vector<std::string> contents() {
  return {std::string(2 * panel_bytes(Type::kQ8_0, 32), 'm'), std::string(20, 'v'),
          std::string(panel_bytes(Type::kF16, 2), 'l')};
}

Status write(const std::string& path, const std::vector<std::string>& bytes) {
  MIXTRAL_TRY(PackedWriter writer, PackedWriter::create(path, metadata(), tensor_infos()));
  for (const std::string& tensor : bytes)
    MIXTRAL_TRY(writer.write(std::as_bytes(std::span(tensor))));
  return writer.finish();
}

// The bytes of a good file.
std::string good() {
  static const std::string bytes = [] {
    const TemporaryFolder folder;
    const Status status = write(folder.file("good"), contents());
    EXPECT_TRUE(status) << status.error().message;
    return read_bytes(folder.file("good"));
  }();
  return bytes;
}

template <class Number>
std::string with(size_t offset, Number value) {
  std::string bytes = good();
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  return bytes;
}

void expect_refused(const std::string& bytes, ErrorCode code, std::vector<std::string> parts) {
  const MemoryFile file(bytes);
  const auto packed = PackedFile::open(file.path());
  ASSERT_FALSE(packed);
  parts.push_back(file.path());
  expect_error(packed.error(), code, parts);
}

TEST(Packed, GivesBackWhatWasWritten) {
  const MemoryFile file(good());
  const auto packed = PackedFile::open(file.path());
  ASSERT_TRUE(packed) << packed.error().message;
  EXPECT_TRUE(packed->metadata.items() == metadata().items());
  ASSERT_EQ(packed->tensors.size(), tensor_infos().size());
  for (size_t i = 0; i < tensor_infos().size(); ++i) {
    const PackedTensorInfo& info = tensor_infos()[i];
    const TensorEntry& entry = *packed->tensors.entries()[i];
    EXPECT_EQ(entry.name, info.name);
    EXPECT_EQ(entry.type, info.type);
    EXPECT_EQ(entry.shape, info.shape);
    EXPECT_EQ(entry.in_panels, info.shape.size() == 2);
    EXPECT_EQ(entry.offset % (info.begins_slab ? kPackedPage : kPackedAlignment), 0u);
    std::string bytes(contents()[i].size(), '\0');
    ASSERT_TRUE(entry.read(0, std::as_writable_bytes(std::span(bytes))));
    EXPECT_EQ(bytes, contents()[i]);
  }
  ThreadPool pool(2);
  EXPECT_TRUE(packed->verify(pool, nullptr));
}

TEST(Packed, AppearsOnlyWhenItIsComplete) {
  const TemporaryFolder folder;
  const std::string path = folder.file("model");
  std::vector<std::string> bytes = contents();
  bytes.back().pop_back();
  const Status short_of_one = write(path, bytes);
  ASSERT_FALSE(short_of_one);
  expect_error(short_of_one.error(), ErrorCode::kBadInput, {path, "last", "expected 64"});
  bytes.back() += "xx";
  const Status one_more = write(path, bytes);
  ASSERT_FALSE(one_more);
  expect_error(one_more.error(), ErrorCode::kBadInput, {path, "1 bytes more"});
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Packed, RefusesTruncationAtEveryByte) {
  const std::string bytes = good();
  MemoryFile file;
  for (size_t n = 0; n < bytes.size(); ++n) {
    file.set(std::string_view(bytes).substr(0, n));
    const auto packed = PackedFile::open(file.path());
    ASSERT_FALSE(packed) << n;
    expect_error(packed.error(), ErrorCode::kBadInput, {file.path()});
  }
}

TEST(Packed, RefusesEveryFlippedBitOfItsHeader) {
  MemoryFile file;
  for (size_t bit = 0; bit < 8 * good().find("last"); ++bit) {
    std::string bytes = good();
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    file.set(bytes);
    const auto packed = PackedFile::open(file.path());
    ASSERT_FALSE(packed) << "bit " << bit;
    ASSERT_NE(packed.error().message.find(file.path()), std::string::npos);
  }
}

// Such a file was made by someone who means it.
TEST(Packed, NeverReadsOutsideTheFileAfterAnyFlippedBitUnderARightChecksum) {
  MemoryFile file;
  ThreadPool pool(1);
  size_t n_opened = 0;
  for (size_t bit = 0; bit < 8 * (good().find("last") + 64); ++bit) {
    std::string bytes = good();
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    seal_packed_header(bytes);
    file.set(bytes);
    const auto packed = PackedFile::open(file.path());
    if (!packed) continue;
    ++n_opened;
    for (const auto& entry : packed->tensors.entries()) {
      std::vector<std::byte> tensor(entry->n_bytes);
      EXPECT_TRUE(entry->read(0, tensor));
    }
    (void)packed->verify(pool, nullptr);
  }
  EXPECT_GT(n_opened, 0u);  // flips in names and values are no errors
}

TEST(Packed, VerifyNamesTheTensorWithAFlippedBit) {
  const std::string bytes = good();
  const MemoryFile whole(bytes);
  const auto open = PackedFile::open(whole.path());
  ASSERT_TRUE(open);
  ThreadPool pool(2);
  for (size_t i = 0; i < open->parts.size(); ++i) {
    // The first byte, and the last one of the zeros behind it.
    const PackedPart& part = open->parts[i];
    for (const uint64_t at : {part.offset, part.offset + part.n_bytes - 1}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 1);
      const MemoryFile file(damaged);
      const auto packed = PackedFile::open(file.path());
      ASSERT_TRUE(packed);
      const Status verified = packed->verify(pool, nullptr);
      ASSERT_FALSE(verified);
      expect_error(verified.error(), ErrorCode::kBadInput,
                   {file.path(), "tensor \"" + tensor_infos()[i].name + "\"", "checksum"});
    }
  }
}

TEST(Packed, RefusesAnotherMagicOrVersion) {
  expect_refused("", ErrorCode::kBadInput, {"0 bytes"});
  expect_refused(with(0, 'm'), ErrorCode::kBadInput, {"mIXTPACK", "expected \"MIXTPACK\""});
  for (const uint32_t version : {0u, 1u, 3u, 0x01000000u}) {
    expect_refused(with(offsetof(PackedPreamble, version), version), ErrorCode::kUnsupported,
                   {fmt::format("version {}", version), "expected 2", "pack it again"});
  }
}

TEST(Packed, NamesTheFieldThatIsWrong) {
  const auto refused = [](size_t offset, uint64_t value, std::vector<std::string> parts,
                          ErrorCode code = ErrorCode::kBadInput) {
    std::string bytes = with(offset, value);
    seal_packed_header(bytes);
    expect_refused(bytes, code, std::move(parts));
  };
  refused(offsetof(PackedPreamble, header_bytes), 4095, {"header of 4095", "multiple of 4096"});
  refused(offsetof(PackedPreamble, header_bytes), UINT64_MAX - 4095, {"header of", "multiple"});
  refused(offsetof(PackedPreamble, n_keys), 1 << 20, {"metadata keys: 1048576"},
          ErrorCode::kTooLarge);
  refused(offsetof(PackedPreamble, n_tensors), UINT64_MAX, {"tensors: 18446744073709551615"},
          ErrorCode::kTooLarge);
  refused(offsetof(PackedPreamble, n_tensors), 2, {"the tensors end at byte"});
  const size_t matrix = good().find("matrix") + 6;  // type, dimensions, rows, cols, offset
  refused(matrix, 0xFFFF, {"tensor \"matrix\"", "type id 65535"});
  refused(matrix + 8, 0, {"tensor \"matrix\"", "dimension is 0"});
  refused(matrix + 8, uint64_t{1} << 40, {"tensor \"matrix\"", "dimension is 1099511627776"});
  refused(matrix + 8, 1 << 20, {"tensor \"matrix\"", "the file ends at byte"});
  refused(matrix + 16, 33, {"tensor \"matrix\"", "rows of 33", "multiple of 32"});
  refused(matrix + 24, 4096 + 64, {"tensor \"matrix\"", "begins at byte 4160", "expected 4096"});
}

}  // namespace
}  // namespace mixtral
