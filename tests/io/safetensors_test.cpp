#include "io/safetensors.h"

#include <bit>
#include <cstring>
#include <filesystem>

#include "core/half.h"
#include "io/bytes.h"
#include "support/golden.h"

namespace mixtral {
namespace {

using testing::expect_error;
using testing::le;
using testing::safetensors_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

std::vector<float> floats(const TensorEntry& entry, size_t first, size_t count) {
  const size_t width = entry.type == Type::kF32 ? 4 : 2;
  std::vector<std::byte> bytes(count * width);
  EXPECT_TRUE(entry.read(first * width, bytes));
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * width, width);
    const auto half = static_cast<uint16_t>(bits);
    values[i] = entry.type == Type::kF32   ? std::bit_cast<float>(bits)
                : entry.type == Type::kF16 ? f16_to_f32(half)
                                           : bf16_to_f32(half);
  }
  return values;
}

// hidden.0 of the golden file is the row of the embedding matrix of each input token.
void expect_embedding_rows(const std::string& folder, std::string_view embedding_name) {
  const auto table = open_safetensors_folder(folder);
  ASSERT_TRUE(table) << table.error().message;
  const auto golden = read_safetensors(folder + "/golden.safetensors");
  ASSERT_TRUE(golden) << golden.error().message;
  const DenseTensor& ids = golden->at("input_ids");
  const DenseTensor& hidden = golden->at("hidden.0");
  const TensorEntry* embedding = table->find(embedding_name);
  ASSERT_NE(embedding, nullptr);
  const size_t dim = embedding->shape[1];
  ASSERT_EQ(hidden.shape, (std::vector<uint64_t>{ids.ints.size(), dim}));
  for (size_t t = 0; t < ids.ints.size(); ++t) {
    const auto row = floats(*embedding, static_cast<size_t>(ids.ints[t]) * dim, dim);
    const std::vector<float> expected(hidden.floats.begin() + t * dim,
                                      hidden.floats.begin() + (t + 1) * dim);
    ASSERT_EQ(row, expected) << folder << " token " << t;
  }
}

TEST(SafetensorsFolder, ReadsEveryGoldenModel) {
  for (const std::string name : {"mixtral-tiny-f32", "mixtral-small-bf16", "mixtral-odd-f16",
                                 "mistral-window-bf16", "llama2-f16", "llama-tied-f32"}) {
    MIXTRAL_FIND_GOLDEN(folder, "models/" + name);
    expect_embedding_rows(folder, "model.embed_tokens.weight");
  }
}

TEST(SafetensorsFolder, ReadsMistralsOwnNames) {
  MIXTRAL_FIND_GOLDEN(folder, "models/mixtral-tiny-f32-mistral");
  expect_embedding_rows(folder, "tok_embeddings.weight");
}

std::string one_tensor(const std::string& name) {
  return safetensors_bytes(
      fmt::format(R"({{"{}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}})", name),
      le(1.0f));
}

class Folder : public ::testing::Test {
 protected:
  void write(const std::string& name, std::string_view bytes) const {
    write_bytes(folder_.file(name), bytes);
  }
  void expect_refused(ErrorCode code, const std::vector<std::string>& parts) const {
    const auto table = open_safetensors_folder(folder_.path());
    ASSERT_FALSE(table);
    expect_error(table.error(), code, parts);
  }
  TemporaryFolder folder_;
};

TEST_F(Folder, PrefersTheIndexThenTheSingleFileThenConsolidated) {
  write("consolidated.00.safetensors", one_tensor("c0"));
  write("consolidated.01.safetensors", one_tensor("c1"));
  write("golden.safetensors", "not even safetensors");
  auto table = open_safetensors_folder(folder_.path());
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->size(), 2u);
  EXPECT_NE(table->find("c1"), nullptr);
  write("model.safetensors", one_tensor("m"));
  table = open_safetensors_folder(folder_.path());
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_NE(table->find("m"), nullptr);
  write("a.safetensors", one_tensor("a"));
  write("b.safetensors", one_tensor("b"));
  write("model.safetensors.index.json",
        R"({"metadata": {}, "weight_map": {"b": "b.safetensors", "a": "a.safetensors"}})");
  table = open_safetensors_folder(folder_.path());
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->size(), 2u);
  EXPECT_NE(table->find("a"), nullptr);
}

TEST_F(Folder, NamesWhatTheIndexAndItsShardsDisagreeOn) {
  const std::string index = folder_.file("model.safetensors.index.json");
  const auto write_index = [&](const std::string& map) {
    write_bytes(index, "{\"weight_map\": " + map + "}");
  };
  write("a.safetensors", one_tensor("a"));
  write("b.safetensors", one_tensor("b"));
  write_index(R"({"a": "a.safetensors", "b": "none.safetensors"})");
  expect_refused(ErrorCode::kNotFound, {folder_.file("none.safetensors"), "index.json"});
  write_index(R"({"a": "a.safetensors", "x": "a.safetensors"})");
  expect_refused(ErrorCode::kBadInput, {index, "\"x\"", "not in a.safetensors"});
  write_index(R"({"a": "b.safetensors", "b": "a.safetensors"})");
  expect_refused(ErrorCode::kBadInput, {index, "\"a\"", folder_.file("a.safetensors")});
  write("a.safetensors",
        safetensors_bytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                          R"("more":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                          le(1.0f, 2.0f)));
  write_index(R"({"a": "a.safetensors"})");
  expect_refused(ErrorCode::kBadInput, {folder_.file("a.safetensors"), "\"more\"", index});
  write("b.safetensors", one_tensor("a"));
  write("a.safetensors", one_tensor("a"));
  write_index(R"({"a": "a.safetensors", "b": "b.safetensors"})");
  expect_refused(ErrorCode::kBadInput,
                 {folder_.file("a.safetensors"), folder_.file("b.safetensors"), "\"a\"", "twice"});
}

TEST_F(Folder, RefusesAnIndexThatIsNone) {
  const std::string index = folder_.file("model.safetensors.index.json");
  write("a.safetensors", one_tensor("a"));
  for (const std::string text : {"[]", "{}", R"({"weight_map": []})", R"({"weight_map": {}})"}) {
    write_bytes(index, text);
    expect_refused(ErrorCode::kBadInput, {index, "\"weight_map\""});
  }
  write_bytes(index, R"({"weight_map": {"a": 1}})");
  expect_refused(ErrorCode::kBadInput, {index, "\"a\"", "number", "file name"});
  write_bytes(index, R"({"weight_map": {"a": "a.safetensors", "a": "a.safetensors"}})");
  expect_refused(ErrorCode::kBadInput, {index, "\"a\"", "twice"});
  for (const std::string name : {"../a.safetensors", "/a.safetensors", "x/../a.safetensors", "..",
                                 "", "a\\\\b", "a\\u0000b"}) {
    write_bytes(index, "{\"weight_map\": {\"a\": \"" + name + "\"}}");
    expect_refused(ErrorCode::kBadInput, {index, "\"a\"", "file name in the same folder"});
  }
}

TEST_F(Folder, RefusesPicklesWithTheReasonAndTheWayOut) {
  write("pytorch_model-00001-of-00002.bin", "x");
  expect_refused(ErrorCode::kUnsupported, {folder_.file("pytorch_model-00001-of-00002.bin"),
                                           "pickle", "run any code", "from_pretrained"});
  std::filesystem::remove(folder_.file("pytorch_model-00001-of-00002.bin"));
  write("consolidated.00.pth", "x");
  expect_refused(ErrorCode::kUnsupported,
                 {folder_.file("consolidated.00.pth"), "pickle", "weights_only=True",
                  folder_.file("consolidated.00.safetensors")});
  write("model.safetensors", one_tensor("m"));
  EXPECT_TRUE(open_safetensors_folder(folder_.path()));
}

TEST_F(Folder, SaysWhatIsMissing) {
  expect_refused(ErrorCode::kNotFound, {folder_.path(), "no model.safetensors"});
  write("model-00001-of-00002.safetensors", one_tensor("m"));
  expect_refused(ErrorCode::kNotFound, {folder_.path(), "no model.safetensors.index.json"});
  const auto none = open_safetensors_folder(folder_.file("none"));
  ASSERT_FALSE(none);
  expect_error(none.error(), ErrorCode::kNotFound, {folder_.file("none")});
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.safetensors");
  const std::string data = le(1.5f, -2.0f) + le(uint16_t{0x3C00}) + le(uint16_t{0xC000}) +
                           le(int32_t{-7}) + le(int64_t{1} << 30, int64_t{-5}) + le(3.0f);
  auto writer = SafetensorsWriter::create(path,
                                          {{"f32", "F32", {1, 2}},
                                           {"f16", "F16", {1}},
                                           {"bf16", "BF16", {1}},
                                           {"i32", "I32", {1}},
                                           {"i64", "I64", {2}},
                                           {"none", "F32", {0, 3}},
                                           {"scalar \"ü\"", "F32", {}}},
                                          {{"format", "pt"}});
  ASSERT_TRUE(writer) << writer.error().message;
  const auto bytes = std::as_bytes(std::span(data));
  ASSERT_TRUE(writer->write(bytes.first(5)));
  ASSERT_TRUE(writer->write(bytes.subspan(5)));
  ASSERT_TRUE(writer->finish());
  const auto tensors = read_safetensors(path);
  ASSERT_TRUE(tensors) << tensors.error().message;
  EXPECT_EQ(tensors->size(), 7u);
  EXPECT_EQ(tensors->at("f32").floats, (std::vector<float>{1.5f, -2.0f}));
  EXPECT_EQ(tensors->at("f32").shape, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(tensors->at("f16").floats, std::vector<float>{1.0f});
  EXPECT_EQ(tensors->at("bf16").floats, std::vector<float>{-2.0f});
  EXPECT_EQ(tensors->at("i32").ints, std::vector<int32_t>{-7});
  EXPECT_EQ(tensors->at("i64").ints, (std::vector<int32_t>{1 << 30, -5}));
  EXPECT_TRUE(tensors->at("none").floats.empty());
  EXPECT_EQ(tensors->at("scalar \"ü\"").floats, std::vector<float>{3.0f});
}

TEST(SafetensorsWriter, KeepsMetadataAndAlignsTheData) {
  const TemporaryFolder folder;
  for (int length = 0; length < 9; ++length) {
    const std::string path = folder.file("a.safetensors");
    auto writer = SafetensorsWriter::create(
        path, {{"t", "F32", {1}}}, {{"key", std::string(static_cast<size_t>(length), 'x')}});
    ASSERT_TRUE(writer);
    const std::string data = le(1.0f);
    ASSERT_TRUE(writer->write(std::as_bytes(std::span(data))));
    ASSERT_TRUE(writer->finish());
    TensorTable table;
    std::map<std::string, std::string> metadata;
    ASSERT_TRUE(add_safetensors(path, table, &metadata));
    EXPECT_EQ(metadata.at("key").size(), static_cast<size_t>(length));
    EXPECT_EQ(table.find("t")->offset % 8, 0u);
  }
}

TEST(SafetensorsWriter, RefusesWrongSizesAndNames) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.safetensors");
  expect_error(SafetensorsWriter::create(path, {{"t", "F31", {1}}}).error(),
               ErrorCode::kUnsupported, {path, "\"t\"", "F31"});
  expect_error(SafetensorsWriter::create(path, {{"t", "F32", {1}}, {"t", "F32", {1}}}).error(),
               ErrorCode::kBadInput, {path, "\"t\"", "twice"});
  expect_error(SafetensorsWriter::create(path, {{"t", "F32", {UINT64_MAX, 2}}}).error(),
               ErrorCode::kBadInput, {path, "\"t\"", "overflow"});
  auto writer = SafetensorsWriter::create(path, {{"t", "F32", {1}}});
  ASSERT_TRUE(writer);
  const std::string data = le(1.0f, 2.0f);
  EXPECT_FALSE(writer->write(std::as_bytes(std::span(data))));
  expect_error(writer->finish().error(), ErrorCode::kBadInput, {path, "0 bytes", "expected 4"});
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace mixtral
