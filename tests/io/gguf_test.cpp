#include "io/gguf.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include "io/bytes.h"
#include "support/golden.h"

namespace mixtral {
namespace {

using testing::expect_error;
using testing::gguf_string;
using testing::GgufParts;
using testing::le;
using testing::TemporaryFolder;
using testing::write_bytes;

std::string tensor_bytes(const TensorEntry& tensor) {
  std::string bytes(tensor.n_bytes, '\0');
  const Status status = tensor.read(0, std::as_writable_bytes(std::span(bytes)));
  EXPECT_TRUE(status) << (status ? "" : status.error().message);
  return bytes;
}

std::string pattern(size_t n) {
  std::string bytes(n, '\0');
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<char>(i * 7 + 3);
  return bytes;
}

TEST(GgufFile, ReadsEveryGoldenType) {
  for (const auto& info : all_types()) {
    std::string name(info.name);
    if (name == "Q3_K") name += "_S";
    if (name == "Q4_K" || name == "Q5_K") name += "_M";
    MIXTRAL_FIND_GOLDEN(path, "gguf/mixtral-" + name + ".gguf");
    const auto gguf = GgufFile::open(path);
    ASSERT_TRUE(gguf) << gguf.error().message;
    EXPECT_EQ(gguf->metadata.get_string("general.architecture"), "llama");
    EXPECT_EQ(gguf->metadata.get_u64("llama.expert_count"), 8u);
    EXPECT_EQ(gguf->metadata.get_u64("llama.embedding_length"), 256u);
    const TensorEntry* experts = gguf->tensors.find("blk.0.ffn_down_exps.weight");
    ASSERT_NE(experts, nullptr);
    ASSERT_EQ(experts->shape.size(), 3u);
    EXPECT_EQ(experts->shape[0], 8u);
    EXPECT_EQ(experts->shape[1], 256u);
    bool has_type = false;
    for (const auto& entry : gguf->tensors.entries()) has_type |= entry->type == info.type;
    EXPECT_TRUE(has_type) << info.name;
  }
}

TEST(GgufFile, FindsTheSameBytesStackedAndOneTensorPerExpert) {
  MIXTRAL_FIND_GOLDEN(stacked_path, "gguf/mixtral-F16.gguf");
  MIXTRAL_FIND_GOLDEN(single_path, "gguf/mixtral-F16-one-tensor-per-expert.gguf");
  const auto stacked = GgufFile::open(stacked_path);
  const auto single = GgufFile::open(single_path);
  ASSERT_TRUE(stacked) << stacked.error().message;
  ASSERT_TRUE(single) << single.error().message;
  for (const std::string part : {"gate", "up", "down"}) {
    const TensorEntry* all = stacked->tensors.find("blk.0.ffn_" + part + "_exps.weight");
    ASSERT_NE(all, nullptr);
    std::string joined;
    for (int e = 0; e < 8; ++e) {
      const auto* one = single->tensors.find(fmt::format("blk.0.ffn_{}.{}.weight", part, e));
      ASSERT_NE(one, nullptr);
      EXPECT_EQ(one->shape, std::vector<uint64_t>(all->shape.begin() + 1, all->shape.end()));
      joined += tensor_bytes(*one);
    }
    EXPECT_EQ(joined, tensor_bytes(*all));
  }
}

TEST(GgufFile, ReadsEveryMetadataTypeOfVersions2And3) {
  const TemporaryFolder folder;
  GgufParts parts;
  const auto array = [](uint32_t type, uint64_t count, const std::string& values) {
    return le(type, count) + values;
  };
  parts.keys = {
      GgufParts::key("u8", 0, le(uint8_t{200})),
      GgufParts::key("i8", 1, le(int8_t{-100})),
      GgufParts::key("u16", 2, le(uint16_t{60'000})),
      GgufParts::key("i16", 3, le(int16_t{-30'000})),
      GgufParts::key("u32", 4, le(uint32_t{4'000'000'000})),
      GgufParts::key("i32", 5, le(int32_t{-2'000'000'000})),
      GgufParts::key("f32", 6, le(1.5f)),
      GgufParts::key("bool", 7, le(uint8_t{1})),
      GgufParts::key("string", 8, gguf_string("text \xFF\n")),
      GgufParts::key("u64", 10, le(uint64_t{1} << 63)),
      GgufParts::key("i64", 11, le(int64_t{-1} << 62)),
      GgufParts::key("f64", 12, le(0.1)),
      GgufParts::key("u8s", 9, array(0, 2, le(uint8_t{1}, uint8_t{255}))),
      GgufParts::key("i16s", 9, array(3, 2, le(int16_t{-1}, int16_t{2}))),
      GgufParts::key("f32s", 9, array(6, 2, le(0.5f, -2.0f))),
      GgufParts::key("bools", 9, array(7, 3, le(uint8_t{1}, uint8_t{0}, uint8_t{1}))),
      GgufParts::key(
          "strings", 9,
          array(8, 3, gguf_string("a") + gguf_string("") + gguf_string(std::string("\0b", 2)))),
      GgufParts::key("empty", 9, array(8, 0, ""))};
  for (const uint32_t version : {2u, 3u}) {
    parts.version = version;
    write_bytes(folder.file("a.gguf"), parts.bytes());
    const auto gguf = GgufFile::open(folder.file("a.gguf"));
    ASSERT_TRUE(gguf) << gguf.error().message;
    const GgufMetadata& metadata = gguf->metadata;
    EXPECT_EQ(metadata.items().size(), parts.keys.size());
    EXPECT_EQ(metadata.items()[1].first, "i8");
    EXPECT_EQ(metadata.get_u64("u8"), 200u);
    EXPECT_EQ(std::get<int64_t>(*metadata.find("i8")), -100);
    EXPECT_EQ(metadata.get_u64("u16"), 60'000u);
    EXPECT_EQ(std::get<int64_t>(*metadata.find("i16")), -30'000);
    EXPECT_EQ(metadata.get_u64("u32"), 4'000'000'000u);
    EXPECT_EQ(std::get<int64_t>(*metadata.find("i32")), -2'000'000'000);
    EXPECT_EQ(metadata.get_f64("f32"), 1.5);
    EXPECT_EQ(metadata.get_bool("bool"), true);
    EXPECT_EQ(metadata.get_string("string"), "text \xFF\n");
    EXPECT_EQ(metadata.get_u64("u64"), uint64_t{1} << 63);
    EXPECT_EQ(std::get<int64_t>(*metadata.find("i64")), int64_t{-1} << 62);
    EXPECT_EQ(metadata.get_f64("f64"), 0.1);
    EXPECT_EQ(metadata.get_i64s("u8s"), (std::vector<int64_t>{1, 255}));
    EXPECT_EQ(metadata.get_i64s("i16s"), (std::vector<int64_t>{-1, 2}));
    EXPECT_EQ(metadata.get_f64s("f32s"), (std::vector<double>{0.5, -2.0}));
    EXPECT_EQ(std::get<std::vector<bool>>(*metadata.find("bools")),
              (std::vector<bool>{true, false, true}));
    EXPECT_EQ(**metadata.get_strings("strings"),
              (std::vector<std::string>{"a", "", std::string("\0b", 2)}));
    EXPECT_TRUE((*metadata.get_strings("empty"))->empty());
  }
}

TEST(GgufMetadata, NamesKeyFoundAndExpected) {
  GgufMetadata metadata;
  metadata.set("text", std::string("x"));
  metadata.set("negative", int64_t{-3});
  metadata.set("large", std::vector<uint64_t>{UINT64_MAX});
  EXPECT_EQ(*metadata.get_u64("absent"), std::nullopt);
  EXPECT_EQ(*metadata.get_strings("absent"), nullptr);
  expect_error(metadata.get_u64("text").error(), ErrorCode::kBadInput,
               {"\"text\"", "is a string", "expected an integer"});
  expect_error(metadata.get_u64("negative").error(), ErrorCode::kBadInput, {"\"negative\"", "-3"});
  expect_error(metadata.get_f64("negative").error(), ErrorCode::kBadInput, {"expected a float"});
  expect_error(metadata.get_bool("text").error(), ErrorCode::kBadInput, {"expected a bool"});
  expect_error(metadata.get_string("negative").error(), ErrorCode::kBadInput,
               {"expected a string"});
  expect_error(metadata.get_strings("text").error(), ErrorCode::kBadInput, {"expected strings"});
  expect_error(metadata.get_f64s("text").error(), ErrorCode::kBadInput, {"expected floats"});
  expect_error(metadata.get_i64s("text").error(), ErrorCode::kBadInput, {"expected integers"});
  expect_error(metadata.get_i64s("large").error(), ErrorCode::kBadInput, {"18446744073709551615"});
  metadata.set("text", true);
  EXPECT_EQ(metadata.get_bool("text"), true);
  EXPECT_EQ(metadata.items().size(), 3u);
}

TEST(GgufWriter, WritesWhatTheReaderReads) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.gguf");
  GgufMetadata metadata;
  metadata.set("general.architecture", std::string("llama"));
  metadata.set("small", uint64_t{7});
  metadata.set("large", uint64_t{1} << 40);
  metadata.set("signed", int64_t{-7});
  metadata.set("signed large", int64_t{-1} << 40);
  metadata.set("float", 0.5);
  metadata.set("float large", 1e300);
  metadata.set("infinite", std::numeric_limits<double>::infinity());
  metadata.set("bool", true);
  metadata.set("u", std::vector<uint64_t>{1, uint64_t{1} << 33});
  metadata.set("i", std::vector<int64_t>{-1, 5});
  metadata.set("f", std::vector<double>{-1, 0.25});
  metadata.set("b", std::vector<bool>{true, false});
  metadata.set("s", std::vector<std::string>{"", "x\xF0"});
  const std::vector<GgufTensorInfo> tensors = {{"odd", Type::kF16, {3, 5}},
                                               {"blocks", Type::kQ4_K, {2, 3, 512}},
                                               {"vector", Type::kF32, {9}}};
  const std::string odd = pattern(30), blocks = pattern(2 * 3 * 288), vector = pattern(36);
  for (const uint64_t alignment : {0, 8, 256}) {
    if (alignment != 0) metadata.set("general.alignment", alignment);
    auto writer = GgufWriter::create(path, metadata, tensors);
    ASSERT_TRUE(writer) << writer.error().message;
    const std::string all = odd + blocks + vector;
    const auto bytes = std::as_bytes(std::span(all));
    for (size_t done = 0; done < bytes.size(); done += 100) {
      const auto rest = bytes.subspan(done);
      ASSERT_TRUE(writer->write(rest.first(std::min<size_t>(100, rest.size()))));
    }
    ASSERT_TRUE(writer->finish());
    const auto gguf = GgufFile::open(path);
    ASSERT_TRUE(gguf) << gguf.error().message;
    EXPECT_EQ(gguf->metadata.items(), metadata.items());
    ASSERT_EQ(gguf->tensors.size(), tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      const TensorEntry& entry = *gguf->tensors.entries()[i];
      EXPECT_EQ(entry.name, tensors[i].name);
      EXPECT_EQ(entry.type, tensors[i].type);
      EXPECT_EQ(entry.shape, tensors[i].shape);
      EXPECT_EQ(entry.offset % std::max<uint64_t>(alignment, 8), 0u);
    }
    EXPECT_EQ(tensor_bytes(*gguf->tensors.find("odd")), odd);
    EXPECT_EQ(tensor_bytes(*gguf->tensors.find("blocks")), blocks);
    EXPECT_EQ(tensor_bytes(*gguf->tensors.find("vector")), vector);
  }
}

TEST(GgufWriter, CopiesAGoldenFileByteByByte) {
  MIXTRAL_FIND_GOLDEN(path, "gguf/mixtral-Q4_K_M.gguf");
  const TemporaryFolder folder;
  const auto original = GgufFile::open(path);
  ASSERT_TRUE(original) << original.error().message;
  std::vector<GgufTensorInfo> tensors;
  for (const auto& entry : original->tensors.entries()) {
    tensors.push_back({entry->name, entry->type, entry->shape});
  }
  auto writer = GgufWriter::create(folder.file("copy.gguf"), original->metadata, tensors);
  ASSERT_TRUE(writer) << writer.error().message;
  for (const auto& entry : original->tensors.entries()) {
    const std::string bytes = tensor_bytes(*entry);
    ASSERT_TRUE(writer->write(std::as_bytes(std::span(bytes))));
  }
  ASSERT_TRUE(writer->finish());
  const auto copy = GgufFile::open(folder.file("copy.gguf"));
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ(copy->metadata.items(), original->metadata.items());
  for (const auto& entry : original->tensors.entries()) {
    const TensorEntry* copied = copy->tensors.find(entry->name);
    ASSERT_NE(copied, nullptr);
    EXPECT_EQ(copied->shape_text(), entry->shape_text());
    EXPECT_EQ(tensor_bytes(*copied), tensor_bytes(*entry));
  }
}

TEST(GgufWriter, RefusesWhatNoReaderCouldRead) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.gguf");
  const auto refused = [&](std::vector<GgufTensorInfo> tensors) {
    const auto writer = GgufWriter::create(path, {}, std::move(tensors));
    EXPECT_FALSE(writer);
    return writer ? Error{} : writer.error();
  };
  expect_error(refused({{"t", Type::kQ8_0, {4, 33}}}), ErrorCode::kBadInput,
               {path, "tensor \"t\"", "33", "multiple of 32", "Q8_0"});
  expect_error(refused({{"t", Type::kF32, {4, 0}}}), ErrorCode::kBadInput, {path, "is 0"});
  expect_error(refused({{"t", Type::kF32, {1, 1, 1, 1, 1}}}), ErrorCode::kBadInput,
               {path, "5 dim"});
  expect_error(refused({{"t", Type::kF32, {1}}, {"t", Type::kF32, {1}}}), ErrorCode::kBadInput,
               {path, "tensor \"t\"", "twice"});
  auto writer = GgufWriter::create(path, {}, {{"t", Type::kF32, {2}}});
  ASSERT_TRUE(writer);
  const std::string bytes(9, 'x');
  ASSERT_TRUE(writer->write(std::as_bytes(std::span(bytes)).first(4)));
  const Status early = writer->finish();
  ASSERT_FALSE(early);
  expect_error(early.error(), ErrorCode::kBadInput,
               {path, "tensor \"t\"", "4 bytes", "expected 8"});
  EXPECT_FALSE(writer->write(std::as_bytes(std::span(bytes))));
}

// Parts of a split file with one F32 tensor of two weights each.
class SplitFile : public ::testing::Test {
 protected:
  std::string path(int part) const {
    return folder_.file(fmt::format("model-{:05}-of-00003.gguf", part));
  }
  static GgufParts part(uint16_t no, uint16_t count, int32_t n_tensors) {
    GgufParts parts;
    parts.keys = {GgufParts::key("split.no", 2, le(no)),
                  GgufParts::key("split.count", 2, le(count)),
                  GgufParts::key("split.tensors.count", 5, le(n_tensors))};
    parts.tensors = {GgufParts::tensor(fmt::format("t{}", no), {2}, 0, 0)};
    parts.data = le(float(no), 10.0f + float(no));
    return parts;
  }
  void write(int number, const GgufParts& parts) const { write_bytes(path(number), parts.bytes()); }
  void SetUp() override {
    for (int i = 0; i < 3; ++i) write(i + 1, part(static_cast<uint16_t>(i), 3, 3));
  }
  Error open_error(int number = 1) const {
    const auto gguf = GgufFile::open(path(number));
    EXPECT_FALSE(gguf);
    return gguf ? Error{} : gguf.error();
  }
  TemporaryFolder folder_;
};

TEST_F(SplitFile, OpensFromItsFirstPart) {
  const auto gguf = GgufFile::open(path(1));
  ASSERT_TRUE(gguf) << gguf.error().message;
  ASSERT_EQ(gguf->tensors.size(), 3u);
  EXPECT_EQ(tensor_bytes(*gguf->tensors.find("t2")), le(2.0f, 12.0f));
  EXPECT_EQ(gguf->tensors.find("t2")->file->path(), path(3));
}

TEST_F(SplitFile, NamesTheMissingPart) {
  std::filesystem::remove(path(2));
  expect_error(open_error(), ErrorCode::kNotFound, {path(1), path(2), "part 2 of 3"});
}

TEST_F(SplitFile, AsksForTheFirstPart) {
  expect_error(open_error(2), ErrorCode::kBadInput, {path(2), "part 2", path(1)});
}

TEST_F(SplitFile, RefusesPartsThatDoNotBelongTogether) {
  write(2, part(2, 3, 3));
  expect_error(open_error(), ErrorCode::kBadInput, {path(2), "\"split.no\" is 2, expected 1"});
  write(2, part(1, 4, 3));
  expect_error(open_error(), ErrorCode::kBadInput, {path(2), "\"split.count\" is 4, expected 3"});
  GgufParts no_keys = part(1, 3, 3);
  no_keys.keys.clear();
  write(2, no_keys);
  expect_error(open_error(), ErrorCode::kBadInput, {path(2), "no key \"split.no\""});
  GgufParts same_tensor = part(1, 3, 3);
  same_tensor.tensors = part(0, 3, 3).tensors;
  write(2, same_tensor);
  expect_error(open_error(), ErrorCode::kBadInput, {path(1), path(2), "tensor \"t0\"", "twice"});
}

TEST_F(SplitFile, RefusesAWrongNumberOfTensors) {
  write(1, part(0, 3, 4));
  expect_error(open_error(), ErrorCode::kBadInput,
               {path(1), "\"split.tensors.count\" is 4, expected 3"});
}

TEST_F(SplitFile, RefusesANameThatDoesNotTellTheOtherParts) {
  const std::string renamed = folder_.file("model.gguf");
  std::filesystem::copy_file(path(1), renamed);
  const auto gguf = GgufFile::open(renamed);
  ASSERT_FALSE(gguf);
  expect_error(gguf.error(), ErrorCode::kBadInput, {renamed, "-00001-of-00003.gguf"});
}

}  // namespace
}  // namespace mixtral
