#include <gtest/gtest.h>

#include "convert/column_importance.h"
#include "convert/write_model.h"
#include "model/tensor_names.h"
#include "model_files.h"
#include "quant/unpack.h"
#include "support/golden.h"
#include "support/tiny_checkpoint.h"

namespace mixtral::testing {
namespace {

const char* const kFloats = "gguf/mixtral-F32.gguf";

Result<WriteReport> quantise(const std::string& from, const std::string& to, std::string_view mix,
                             const ImportanceMatrix* importance = nullptr, size_t n_threads = 2) {
  WriteOptions options;
  options.mix = *type_mix_from_name(mix);
  options.importance = importance;
  options.n_threads = n_threads;
  options.replace = true;
  return convert_to(from, to, options);
}

std::vector<float> values_of(const Checkpoint& checkpoint, WeightId id, size_t matrix) {
  const auto source = checkpoint.source(id);
  const auto bytes = matrix_bytes(*source, matrix);
  std::vector<float> values(source->rows() * source->cols());
  for (size_t r = 0; r < source->rows(); ++r)
    unpack(source->type(matrix), bytes.data() + r * source->row_bytes(matrix), source->cols(),
           values.data() + r * source->cols());
  return values;
}

// One column of seven matters, in some matrices of the layers.
double importance_of(size_t col) { return col % 7 == 0 ? 50 : 1; }

ImportanceMatrix some_importance(const Checkpoint& checkpoint, float count) {
  ImportanceMatrix matrix;
  matrix.source_path = "m.gguf";
  for (const WeightId id : all_weights(checkpoint.config())) {
    if (id.role != Role::kWq && id.role != Role::kWUp && id.role != Role::kWDown) continue;
    const auto source = checkpoint.source(id);
    InputSums& sums = matrix.weights[new_tensor_name(CheckpointKind::kGguf, id, 0, true)];
    sums.counts.assign(source->n_matrices(), count);
    for (size_t i = 0; i < source->n_matrices() * source->cols(); ++i)
      sums.squares.push_back(count * static_cast<float>(importance_of(i % source->cols())));
  }
  return matrix;
}

class QuantiseTo : public ::testing::TestWithParam<std::string_view> {};

TEST_P(QuantiseTo, GivesEveryTensorTheTypeOfLlamaQuantize) {
  MIXTRAL_FIND_GOLDEN(from, kFloats);
  MIXTRAL_FIND_GOLDEN(expected, "gguf/mixtral-" + std::string(GetParam()) + ".gguf");
  const TemporaryFolder folder;
  const auto report = quantise(from, folder.file("q.gguf"), GetParam());
  ASSERT_TRUE(report) << report.error().message;
  const Checkpoint ours = open_model(folder.file("q.gguf")), theirs = open_model(expected);
  for (const auto& tensor : theirs.tensors().entries()) {
    const TensorEntry* found = ours.tensors().find(tensor->name);
    ASSERT_NE(found, nullptr) << tensor->name;
    EXPECT_EQ(type_name(found->type), type_name(tensor->type)) << tensor->name;
    EXPECT_EQ(found->shape, tensor->shape) << tensor->name;
  }
  EXPECT_EQ(ours.metadata().get_u64("general.file_type")->value(),
            theirs.metadata().get_u64("general.file_type")->value());
}

// The errors are those of the same file, so what llama-quantize wrote is the bar.
TEST_P(QuantiseTo, IsNoFurtherFromTheFloatsThanLlamaQuantize) {
  MIXTRAL_FIND_GOLDEN(from, kFloats);
  MIXTRAL_FIND_GOLDEN(expected, "gguf/mixtral-" + std::string(GetParam()) + ".gguf");
  const TemporaryFolder folder;
  ASSERT_TRUE(quantise(from, folder.file("q.gguf"), GetParam()));
  const Checkpoint floats = open_model(from), ours = open_model(folder.file("q.gguf")),
                   theirs = open_model(expected);
  double our_error = 0, their_error = 0;
  for (const WeightId id : all_weights(floats.config())) {
    for (size_t m = 0; m < floats.source(id)->n_matrices(); ++m) {
      const auto exact = values_of(floats, id, m), a = values_of(ours, id, m),
                 b = values_of(theirs, id, m);
      for (size_t i = 0; i < exact.size(); ++i) {
        our_error += std::pow(double{a[i]} - double{exact[i]}, 2);
        their_error += std::pow(double{b[i]} - double{exact[i]}, 2);
      }
    }
  }
  EXPECT_LE(our_error, their_error);
}

INSTANTIATE_TEST_SUITE_P(Golden, QuantiseTo,
                         ::testing::Values<std::string_view>("F16", "BF16", "Q8_0", "Q4_0", "Q4_1",
                                                             "Q5_0", "Q5_1", "Q2_K", "Q3_K_S",
                                                             "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M",
                                                             "Q6_K", "IQ4_NL", "IQ4_XS"),
                         case_name);

TEST(Quantise, HasTheSameBytesForAnyNumberOfThreads) {
  MIXTRAL_FIND_GOLDEN(from, kFloats);
  const TemporaryFolder folder;
  const ImportanceMatrix importance = some_importance(open_model(from), 100);
  ASSERT_TRUE(quantise(from, folder.file("one.gguf"), "Q4_K_M", &importance, 1));
  ASSERT_TRUE(quantise(from, folder.file("three.gguf"), "Q4_K_M", &importance, 3));
  expect_same_tensors(open_model(folder.file("one.gguf")).tensors(),
                      open_model(folder.file("three.gguf")).tensors());
}

TEST(Quantise, ImportanceLowersTheErrorsThatItWeighs) {
  MIXTRAL_FIND_GOLDEN(from, kFloats);
  const TemporaryFolder folder;
  const Checkpoint floats = open_model(from);
  const ImportanceMatrix importance = some_importance(floats, 100);
  ASSERT_TRUE(quantise(from, folder.file("plain.gguf"), "Q3_K_S"));
  ASSERT_TRUE(quantise(from, folder.file("weighted.gguf"), "Q3_K_S", &importance));
  const Checkpoint plain = open_model(folder.file("plain.gguf")),
                   weighted = open_model(folder.file("weighted.gguf"));
  const WeightId id = {Role::kWUp, 0};
  const auto exact = values_of(floats, id, 1), a = values_of(weighted, id, 1),
             b = values_of(plain, id, 1);
  const size_t cols = floats.source(id)->cols();
  double with = 0, without = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double weight = importance_of(i % cols);
    with += weight * std::pow(double{a[i]} - double{exact[i]}, 2);
    without += weight * std::pow(double{b[i]} - double{exact[i]}, 2);
  }
  EXPECT_LT(with, 0.8 * without);
  // Weights that the importance matrix does not know are as without it.
  EXPECT_TRUE(values_of(weighted, {Role::kWo, 0}, 0) == values_of(plain, {Role::kWo, 0}, 0));
  EXPECT_EQ(weighted.metadata().get_string("quantize.imatrix.file")->value(), "m.gguf");
}

TEST(Quantise, SaysWhichTypesDidNotFit) {
  const TemporaryFolder folder;
  TinyCheckpoint::mixtral().write(folder.path());  // rows of 8 and 12
  const auto report = quantise(folder.path(), folder.file("q.gguf"), "Q4_K_M");
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_FALSE(report->notes.empty());
  EXPECT_NE(fmt::format("{}", fmt::join(report->notes, "\n"))
                .find("w_up (3 matrices): F16 in the place of Q4_K, whose blocks of 256 do not "
                      "divide rows of 8"),
            std::string::npos);
  EXPECT_EQ(open_model(folder.file("q.gguf")).source({Role::kWUp, 0})->type(), Type::kF16);
}

TEST(Quantise, SaysWhatWasQuantisedBefore) {
  MIXTRAL_FIND_GOLDEN(from, "gguf/mixtral-Q8_0.gguf");
  const TemporaryFolder folder;
  const auto report = quantise(from, folder.file("q.gguf"), "Q4_K_M");
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->notes.size(), 1u);
  EXPECT_NE(report->notes[0].find("of Q8_0 rounded a second time"), std::string::npos);
}

TEST(ColumnImportance, ExpertsThatSawTooLittleTakeTheMeanOfTheOthers) {
  ImportanceMatrix matrix;
  matrix.weights["w"] = {{100, 200, 5, 5, 600, 0}, {100, 3, 200}};
  std::vector<std::string> warnings;
  const auto values = column_importance(matrix, "w", warnings);
  const std::vector<float> expected = {1, 2, 700.0f / 300, 200.0f / 300, 3, 0};
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_FLOAT_EQ(values[i], expected[i]) << i;
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("w: expert 1 saw fewer than 32 rows"), std::string::npos);

  matrix.weights["w"].counts = {3, 3, 3};
  EXPECT_TRUE(column_importance(matrix, "w", warnings).empty());
  EXPECT_NE(warnings.at(1).find("not used"), std::string::npos);
  EXPECT_TRUE(column_importance(matrix, "another", warnings).empty());
}

TEST(Quantise, RefusesTheImportanceOfAnotherModel) {
  MIXTRAL_FIND_GOLDEN(from, kFloats);
  const TemporaryFolder folder;
  ImportanceMatrix matrix = some_importance(open_model(from), 100);
  matrix.weights["blk.99.attn_q.weight"] = {{1, 2}, {100}};
  auto report = quantise(from, folder.file("q.gguf"), "Q4_K_M", &matrix);
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("m.gguf: tensor \"blk.99.attn_q.weight\" is none of this"),
            std::string::npos);
  matrix = some_importance(open_model(from), 100);
  matrix.weights.begin()->second.squares.pop_back();
  matrix.weights.begin()->second.counts = {100};
  report = quantise(from, folder.file("q.gguf"), "Q4_K_M", &matrix);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kBadInput);
  EXPECT_NE(report.error().message.find("for this model"), std::string::npos);
}

}  // namespace
}  // namespace mixtral::testing
