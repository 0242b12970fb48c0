#include <sys/resource.h>

#include <filesystem>

#include "fuzz/memory_file.h"
#include "io/bytes.h"
#include "io/gguf.h"
#include "support/golden.h"

namespace mixtral {
namespace {

using testing::expect_error;
using testing::gguf_string;
using testing::GgufParts;
using testing::le;
using testing::write_bytes;

constexpr uint32_t kU8 = 0, kU32 = 4, kBool = 7, kString = 8, kArray = 9;

// A good file with one key and two tensors of eight F32 weights each.
GgufParts good() {
  GgufParts parts;
  parts.keys = {GgufParts::key("general.architecture", kString, gguf_string("llama"))};
  parts.tensors = {GgufParts::tensor("first", {4, 2}, 0, 0),
                   GgufParts::tensor("second", {8}, 0, 32)};
  parts.data = std::string(64, 'x');
  return parts;
}

class BadGguf : public ::testing::Test {
 protected:
  Result<GgufFile> open(std::string_view bytes) const {
    write_bytes(path_, bytes);
    return GgufFile::open(path_);
  }
  void expect_refused(std::string_view bytes, ErrorCode code,
                      std::vector<std::string> parts) const {
    const auto gguf = open(bytes);
    ASSERT_FALSE(gguf);
    parts.push_back(path_);
    expect_error(gguf.error(), code, parts);
  }
  void expect_key_refused(const std::string& key, std::vector<std::string> message,
                          ErrorCode code = ErrorCode::kBadInput) const {
    GgufParts parts = good();
    parts.keys.push_back(key);
    expect_refused(parts.bytes(), code, std::move(message));
  }
  void expect_tensor_refused(const std::string& tensor, std::vector<std::string> message,
                             ErrorCode code = ErrorCode::kBadInput) const {
    GgufParts parts = good();
    parts.tensors.push_back(tensor);
    expect_refused(parts.bytes(), code, std::move(message));
  }
  testing::TemporaryFolder folder_;
  const std::string path_ = folder_.file("bad.gguf");
};

TEST_F(BadGguf, TheGoodFileItIsMadeOfOpens) {
  const auto gguf = open(good().bytes());
  ASSERT_TRUE(gguf) << gguf.error().message;
  EXPECT_EQ(gguf->tensors.find("first")->shape_text(), "[2, 4]");
}

TEST_F(BadGguf, RefusesAnotherMagicVersionOrByteOrder) {
  expect_refused("", ErrorCode::kBadInput, {"empty"});
  GgufParts parts = good();
  parts.magic = "GGML";
  expect_refused(parts.bytes(), ErrorCode::kBadInput, {"4747", "expected \"GGUF\""});
  parts.magic = "GGUF";
  for (const uint32_t version : {0u, 1u, 4u}) {
    parts.version = version;
    expect_refused(parts.bytes(), ErrorCode::kUnsupported,
                   {fmt::format("version {}", version), "expected 2 or 3"});
  }
  parts.version = 0x03000000;
  expect_refused(parts.bytes(), ErrorCode::kUnsupported, {"version 3", "big-endian"});
}

TEST_F(BadGguf, RefusesTruncationAtEveryByte) {
  const std::string bytes = good().bytes();
  testing::MemoryFile file;
  for (size_t n = 0; n < bytes.size(); ++n) {
    file.set(std::string_view(bytes).substr(0, n));
    const auto gguf = GgufFile::open(file.path());
    ASSERT_FALSE(gguf) << n;
    ASSERT_NE(gguf.error().message.find(file.path()), std::string::npos) << gguf.error().message;
  }
}

TEST_F(BadGguf, NeverReadsOutsideTheFileAfterAnyFlippedBit) {
  GgufParts parts = good();
  parts.keys.push_back(GgufParts::key("general.alignment", kU32, le(uint32_t{32})));
  parts.keys.push_back(GgufParts::key(
      "list", kArray, le(kString, uint64_t{2}) + gguf_string("a") + gguf_string("bc")));
  const std::string bytes = parts.bytes();
  size_t n_opened = 0;
  testing::MemoryFile file;
  for (size_t bit = 0; bit < 8 * (bytes.size() - parts.data.size()); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    file.set(flipped);
    const auto gguf = GgufFile::open(file.path());
    if (!gguf) continue;
    ++n_opened;
    for (const auto& entry : gguf->tensors.entries()) {
      std::vector<std::byte> tensor(entry->n_bytes);
      EXPECT_TRUE(entry->read(0, tensor));
    }
  }
  EXPECT_GT(n_opened, 0u);  // flips in names and padding are no errors
}

TEST_F(BadGguf, RefusesCountsThatTheFileHasNoRoomFor) {
  for (const uint64_t count : {uint64_t{60'000}, uint64_t{1} << 40, UINT64_MAX}) {
    GgufParts parts = good();
    parts.n_keys = count;
    const ErrorCode code = count > 65'536 ? ErrorCode::kTooLarge : ErrorCode::kBadInput;
    expect_refused(parts.bytes(), code, {"metadata keys", fmt::format("{}", count)});
    parts = good();
    parts.n_tensors = count;
    expect_refused(parts.bytes(), code, {"tensors", fmt::format("{}", count)});
    expect_key_refused(GgufParts::key("list", kArray, le(kU8, count)), {"\"list\""});
    expect_key_refused(GgufParts::key("list", kArray, le(kBool, count)), {"\"list\""});
    expect_key_refused(GgufParts::key("list", kArray, le(kString, count)), {"\"list\""});
    expect_key_refused(GgufParts::key("text", kString, le(count)), {"\"text\""});
  }
}

TEST_F(BadGguf, TakesNoMemoryForWhatTheFileDoesNotHold) {
  GgufParts parts = good();
  parts.keys.push_back(GgufParts::key("list", kArray, le(kString, uint64_t{30'000'000})));
  parts.keys.back() += gguf_string("a") + le(uint64_t{1} << 50);
  write_bytes(path_, parts.bytes());
  std::filesystem::resize_file(path_, uint64_t{1} << 34);  // sparse: room for the claimed count
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const auto gguf = GgufFile::open(path_);
  getrusage(RUSAGE_SELF, &after);
  ASSERT_FALSE(gguf);
  expect_error(gguf.error(), ErrorCode::kTooLarge, {path_, "\"list\""});
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 << 10);  // in KiB
}

TEST_F(BadGguf, RefusesKeysOfBadNameOrValue) {
  expect_key_refused(GgufParts::key("general.architecture", kU8, le(uint8_t{1})),
                     {"key 2 of 2", "\"general.architecture\"", "twice"});
  expect_key_refused(GgufParts::key("", kU8, le(uint8_t{1})), {"key 2 of 2", "empty name"});
  expect_key_refused(GgufParts::key("a\nb", kU8, le(uint8_t{1})), {"control", "a\\x0ab"});
  expect_key_refused(GgufParts::key(std::string(65'536, 'k'), kU8, le(uint8_t{1})),
                     {"65536 bytes", "at most 65535"});
  expect_key_refused(GgufParts::key("k", 13, ""), {"\"k\"", "value type 13", "0 to 12"});
  expect_key_refused(GgufParts::key("k", kBool, le(uint8_t{2})), {"\"k\"", "bool of value 2"});
  expect_key_refused(GgufParts::key("k", kArray, le(kBool, uint64_t{1}, uint8_t{255})),
                     {"\"k\"", "bool of value 255"});
  expect_key_refused(GgufParts::key("k", kArray, le(uint32_t{99}, uint64_t{1})),
                     {"\"k\"", "value type 99"});
  expect_key_refused(GgufParts::key("k", kArray, le(kArray, uint64_t{1}, kU8, uint64_t{0})),
                     {"\"k\"", "array of arrays"}, ErrorCode::kUnsupported);
}

TEST_F(BadGguf, RefusesAlignmentsThatAreNone) {
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 1u << 21}) {
    expect_key_refused(GgufParts::key("general.alignment", kU32, le(alignment)),
                       {"\"general.alignment\"", fmt::format("is {},", alignment), "power of two"});
  }
  expect_key_refused(GgufParts::key("general.alignment", kString, gguf_string("32")),
                     {"\"general.alignment\"", "is a string", "expected an integer"});
}

TEST_F(BadGguf, RefusesTensorsOfBadNameOrShape) {
  const auto tensor = [](const std::vector<uint64_t>& dims, uint32_t type = 0) {
    return GgufParts::tensor("third", dims, type, 0);
  };
  expect_tensor_refused(GgufParts::tensor("", {1}, 0, 0), {"tensor 3 of 3", "empty name"});
  expect_tensor_refused(GgufParts::tensor("a\tb", {1}, 0, 0), {"tensor 3 of 3", "control"});
  expect_tensor_refused(GgufParts::tensor(std::string(1'025, 'n'), {1}, 0, 0), {"1025 bytes"});
  expect_tensor_refused(tensor({}), {"\"third\"", "0 dimensions", "1 to 4"});
  expect_tensor_refused(tensor({1, 1, 1, 1, 1}), {"\"third\"", "5 dimensions"});
  expect_tensor_refused(tensor({4, 0}), {"\"third\"", "is 0"});
  expect_tensor_refused(tensor({uint64_t{1} << 32, uint64_t{1} << 32}), {"\"third\"", "overflow"});
  expect_tensor_refused(tensor({uint64_t{1} << 63}), {"\"third\"", "overflow"});
  // 18 bytes hold 32 weights, so the bytes fit where the count of weights does not.
  expect_tensor_refused(tensor({uint64_t{1} << 62, 4}, 2), {"\"third\"", "overflow"});
  expect_tensor_refused(tensor({33}, 8), {"\"third\"", "rows of 33", "multiple of 32", "Q8_0"});
}

TEST_F(BadGguf, NamesUnsupportedAndUnknownTypes) {
  expect_tensor_refused(GgufParts::tensor("third", {256}, 16, 0), {"\"third\"", "IQ2_XXS", "16"},
                        ErrorCode::kUnsupported);
  expect_tensor_refused(GgufParts::tensor("third", {256}, 4'000, 0), {"\"third\"", "4000"});
}

TEST_F(BadGguf, RefusesTensorsOutOfPlace) {
  const auto tensor = [](uint64_t dim, uint64_t offset) {
    return GgufParts::tensor("third", {dim}, 0, offset);
  };
  expect_tensor_refused(tensor(1, 4), {"\"third\"", "offset 4", "multiple of 32"});
  expect_tensor_refused(tensor(1, 64), {"\"third\"", "4 bytes at byte 64", "file ends"});
  expect_tensor_refused(tensor(1, UINT64_MAX - 31), {"\"third\"", "file ends"});
  expect_tensor_refused(tensor(uint64_t{1} << 61, 0), {"\"third\"", "file ends"});
  expect_tensor_refused(tensor(4, 0), {"\"third\"", "\"first\"", "inside"});
  GgufParts long_first = good();
  long_first.tensors[0] = GgufParts::tensor("first", {9}, 0, 0);
  expect_refused(long_first.bytes(), ErrorCode::kBadInput, {"\"second\"", "inside", "\"first\""});
}

TEST_F(BadGguf, RefusesDuplicateTensorNames) {
  GgufParts parts = good();
  parts.tensors[1] = GgufParts::tensor("first", {8}, 0, 32);
  expect_refused(parts.bytes(), ErrorCode::kBadInput, {"\"first\"", "twice"});
}

}  // namespace
}  // namespace mixtral
