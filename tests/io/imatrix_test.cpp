#include "io/imatrix.h"

#include <gtest/gtest.h>

#include <limits>

#include "io/gguf.h"
#include "support/golden.h"

namespace mixtral::testing {
namespace {

ImportanceMatrix small_matrix() {
  ImportanceMatrix matrix;
  matrix.weights["blk.0.attn_q.weight"] = {{1, 2, 3}, {4}};
  matrix.weights["blk.0.ffn_up_exps.weight"] = {{1, 2, 3, 4}, {5, 0}};
  matrix.datasets = {"a text"};
  matrix.n_chunks = 7;
  matrix.chunk_tokens = 512;
  return matrix;
}

std::string error_of(const ImportanceMatrix& matrix) {
  const TemporaryFolder folder;
  EXPECT_TRUE(matrix.write(folder.file("m.gguf")));
  const auto read = ImportanceMatrix::read(folder.file("m.gguf"));
  return read ? "" : read.error().message;
}

TEST(ImportanceMatrix, ComesBackFromItsFile) {
  const TemporaryFolder folder;
  const ImportanceMatrix matrix = small_matrix();
  ASSERT_TRUE(matrix.write(folder.file("m.gguf")));
  const auto read = ImportanceMatrix::read(folder.file("m.gguf"));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->source_path, folder.file("m.gguf"));
  EXPECT_EQ(read->datasets, matrix.datasets);
  EXPECT_EQ(read->n_chunks, 7u);
  EXPECT_EQ(read->chunk_tokens, 512u);
  ASSERT_EQ(read->weights.size(), 2u);
  const InputSums& up = read->weights.at("blk.0.ffn_up_exps.weight");
  EXPECT_EQ(up.squares, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(up.counts, (std::vector<float>{5, 0}));
  EXPECT_EQ(up.cols(), 2u);
}

TEST(ImportanceMatrix, RefusesNumbersThatAreNoSums) {
  for (const float bad :
       {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    ImportanceMatrix matrix = small_matrix();
    matrix.weights["blk.0.attn_q.weight"].squares[1] = bad;
    EXPECT_NE(error_of(matrix).find("m.gguf: tensor \"blk.0.attn_q.weight.in_sum2\": holds"),
              std::string::npos);
    matrix = small_matrix();
    matrix.weights["blk.0.attn_q.weight"].counts[0] = bad;
    EXPECT_NE(error_of(matrix).find("attn_q.weight.counts"), std::string::npos);
  }
}

TEST(ImportanceMatrix, RefusesOtherFiles) {
  const TemporaryFolder folder;
  const std::string path = folder.file("other.gguf");
  GgufMetadata metadata;
  metadata.set("general.type", std::string("model"));
  auto writer = GgufWriter::create(path, metadata, {});
  ASSERT_TRUE(writer && writer->finish());
  auto read = ImportanceMatrix::read(path);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("general.type is \"model\""), std::string::npos);

  metadata.set("general.type", std::string("imatrix"));
  auto second = GgufWriter::create(path, metadata, {{"a.in_sum2", Type::kF32, {2}}});
  const std::vector<float> sums = {1, 2};
  ASSERT_TRUE(second && second->write(std::as_bytes(std::span(sums))) && second->finish());
  read = ImportanceMatrix::read(path);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("\"a.counts\" is missing"), std::string::npos);
}

}  // namespace
}  // namespace mixtral::testing
