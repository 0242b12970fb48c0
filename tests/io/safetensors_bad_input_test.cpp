#include "fuzz/memory_file.h"
#include "io/bytes.h"
#include "io/safetensors.h"
#include "support/golden.h"

namespace mixtral {
namespace {

using testing::expect_error;
using testing::le;
using testing::safetensors_bytes;
using testing::write_bytes;

constexpr std::string_view kGoodHeader =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
    R"("b":{"dtype":"BF16","shape":[1,2],"data_offsets":[8,12]}})";

class BadSafetensors : public ::testing::Test {
 protected:
  Status open(std::string_view bytes) const {
    write_bytes(path_, bytes);
    TensorTable table;
    return add_safetensors(path_, table);
  }
  void expect_refused(std::string_view bytes, std::vector<std::string> parts,
                      ErrorCode code = ErrorCode::kBadInput) const {
    const Status status = open(bytes);
    ASSERT_FALSE(status);
    parts.push_back(path_);
    expect_error(status.error(), code, parts);
  }
  // A header with this object as tensor "t", and eight bytes of data.
  void expect_tensor_refused(std::string_view tensor, std::vector<std::string> parts) const {
    parts.push_back("\"t\"");
    expect_refused(safetensors_bytes(fmt::format("{{\"t\":{}}}", tensor), std::string(8, 'x')),
                   std::move(parts));
  }
  testing::TemporaryFolder folder_;
  const std::string path_ = folder_.file("bad.safetensors");
};

TEST_F(BadSafetensors, TheGoodFileItIsMadeOfOpens) {
  const Status status = open(safetensors_bytes(kGoodHeader, std::string(12, 'x')));
  EXPECT_TRUE(status) << status.error().message;
}

TEST_F(BadSafetensors, RefusesTruncationAtEveryByte) {
  const std::string bytes = safetensors_bytes(kGoodHeader, std::string(12, 'x'));
  testing::MemoryFile file;
  for (size_t n = 0; n < bytes.size(); ++n) {
    file.set(std::string_view(bytes).substr(0, n));
    TensorTable table;
    const Status status = add_safetensors(file.path(), table);
    ASSERT_FALSE(status) << n;
    ASSERT_NE(status.error().message.find(file.path()), std::string::npos)
        << status.error().message;
  }
}

TEST_F(BadSafetensors, NeverReadsOutsideTheFileAfterAnyFlippedBit) {
  const std::string bytes = safetensors_bytes(kGoodHeader, std::string(12, 'x'));
  testing::MemoryFile file;
  for (size_t bit = 0; bit < 8 * (8 + kGoodHeader.size()); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    file.set(flipped);
    TensorTable table;
    if (!add_safetensors(file.path(), table)) continue;
    for (const auto& entry : table.entries()) {
      std::vector<std::byte> tensor(entry->n_bytes);
      EXPECT_TRUE(entry->read(0, tensor));
    }
  }
}

TEST_F(BadSafetensors, RefusesHeaderLengthsBeyondTheFileOrTheLimit) {
  for (const uint64_t length : {uint64_t{100}, uint64_t{1} << 40, UINT64_MAX}) {
    expect_refused(le(length) + "{}", {fmt::format("header of {} bytes", length), "at most 2"});
  }
}

TEST_F(BadSafetensors, RefusesHeadersThatAreNotTheFormatsJson) {
  const auto refused = [&](std::string_view header, std::vector<std::string> parts) {
    expect_refused(safetensors_bytes(header, ""), std::move(parts));
  };
  refused("", {"not JSON"});
  refused("{\"a\":", {"not JSON"});
  refused("[]", {"the header is an array", "expected an object"});
  refused("7", {"the header is a number"});
  refused("{} {}", {"not JSON"});
  refused(R"({"__metadata__":{},"__metadata__":{}})", {"__metadata__", "twice"});
  refused(R"({"__metadata__":{"k":"1","k":"2"}})", {"\"k\"", "twice"});
  refused(R"({"__metadata__":{"k":1}})", {"\"k\" is a number", "expected a string"});
  refused(R"({"__metadata__":{"k":{}}})", {"\"k\" is an object"});
  refused(R"({"":{}})", {"tensor name \"\""});
  refused(R"({"a\nb":{}})", {"tensor name \"a\\x0ab\""});
  refused("{\"" + std::string(1'025, 'n') + "\":{}}", {"tensor name", "1024"});
  refused(std::string(100'000, '{'), {"not JSON"});
}

TEST_F(BadSafetensors, RefusesTensorsWithWrongFields) {
  expect_tensor_refused("[]", {"an array", "expected an object"});
  expect_tensor_refused("null", {"null", "expected an object"});
  expect_tensor_refused("{}", {"no field dtype"});
  expect_tensor_refused(R"({"dtype":"F32","shape":[2]})", {"no field data_offsets"});
  expect_tensor_refused(R"({"dtype":"F32","dtype":"F32"})", {"dtype is there twice"});
  expect_tensor_refused(R"({"stride":[1]})", {"\"stride\"", "expected dtype"});
  expect_tensor_refused(R"({"dtype":4})", {"dtype is a number", "expected a string"});
  expect_tensor_refused(R"({"dtype":["F32"]})", {"dtype is an array"});
  expect_tensor_refused(R"({"dtype":"F\u0000"})", {"dtype is \"F\\x00\""});
  expect_tensor_refused(R"({"shape":"2"})", {"shape is a string", "expected an array"});
  expect_tensor_refused(R"({"shape":[-2]})", {"shape is a negative number"});
  expect_tensor_refused(R"({"shape":[2.0]})", {"shape is a fraction"});
  expect_tensor_refused(R"({"shape":[true]})", {"shape is a bool"});
  expect_tensor_refused(R"({"shape":[[2]]})", {"shape is an array", "whole numbers"});
  expect_tensor_refused(R"({"shape":[{}]})", {"shape is an object"});
  expect_tensor_refused(R"({"shape":[1,1,1,1,1,1,1,1,1]})", {"shape", "more than 8"});
  expect_tensor_refused(R"({"data_offsets":[0]})", {"data_offsets", "[begin, end]"});
  expect_tensor_refused(R"({"data_offsets":[0,1,2]})", {"data_offsets", "[begin, end]"});
  expect_tensor_refused(R"({"data_offsets":[4,0]})", {"data_offsets", "[begin, end]"});
}

TEST_F(BadSafetensors, RefusesExtentsThatContradictShapeOrFile) {
  const auto tensor = [](std::string_view dtype, std::string_view shape, uint64_t begin,
                         uint64_t end) {
    return fmt::format(R"({{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", dtype, shape, begin,
                       end);
  };
  expect_tensor_refused(tensor("F32", "[3]", 0, 8), {"8 bytes", "need 12"});
  expect_tensor_refused(tensor("F16", "[2]", 0, 8), {"8 bytes", "need 4"});
  expect_tensor_refused(tensor("F32", "[3]", 0, 12), {"byte 12", "file has 8"});
  expect_tensor_refused(tensor("F32", "[1]", 4, 8), {"byte 4", "expected 0"});
  expect_tensor_refused(tensor("F32", "[4294967296,4294967296]", 0, 8), {"overflow"});
  expect_tensor_refused(tensor("F32", "[4611686018427387904]", 0, 8), {"8 bytes"});
  expect_tensor_refused(tensor("F32", "[0]", 0, 0) + ",\"u\":" + tensor("F32", "[2]", 0, 8),
                        {"dimension is 0"});
  expect_refused(safetensors_bytes(kGoodHeader, std::string(13, 'x')), {"13 bytes", "byte 12"});
  expect_refused(safetensors_bytes("{}", "x"), {"1 bytes", "byte 0"});
}

TEST_F(BadSafetensors, RefusesOverlapsAndGaps) {
  const auto two = [](uint64_t begin, uint64_t end) {
    return fmt::format(R"({{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}},)"
                       R"("b":{{"dtype":"F32","shape":[2],"data_offsets":[{},{}]}}}})",
                       begin, end);
  };
  expect_refused(safetensors_bytes(two(4, 12), std::string(12, 'x')), {"\"b\"", "byte 4", "8"});
  expect_refused(safetensors_bytes(two(0, 8), std::string(8, 'x')), {"\"b\"", "byte 0"});
  expect_refused(safetensors_bytes(two(12, 20), std::string(20, 'x')), {"\"b\"", "byte 12"});
}

TEST_F(BadSafetensors, RefusesDuplicateNames) {
  expect_refused(safetensors_bytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                   R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                   std::string(8, 'x')),
                 {"\"a\"", "twice"});
  const auto tensors = read_safetensors(path_);
  ASSERT_FALSE(tensors);
  expect_error(tensors.error(), ErrorCode::kBadInput, {path_, "\"a\"", "twice"});
}

TEST_F(BadSafetensors, NamesDtypesThatAreNoWeights) {
  for (const auto& [dtype, count] :
       {std::pair("F64", 1), {"I64", 1}, {"F8_E4M3", 8}, {"U8", 8}, {"F4", 16}}) {
    expect_refused(safetensors_bytes(
                       fmt::format(R"({{"t":{{"dtype":"{}","shape":[{}],"data_offsets":[0,8]}}}})",
                                   dtype, count),
                       std::string(8, 'x')),
                   {"\"t\"", dtype, "expected F32, F16 or BF16"}, ErrorCode::kUnsupported);
  }
}

TEST_F(BadSafetensors, RefusesIntegersThatDoNotFit) {
  write_bytes(path_, safetensors_bytes(R"({"t":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})",
                                       le(int64_t{1} << 31)));
  const auto tensors = read_safetensors(path_);
  ASSERT_FALSE(tensors);
  expect_error(tensors.error(), ErrorCode::kUnsupported, {path_, "\"t\"", "2147483648"});
}

}  // namespace
}  // namespace mixtral
