#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <filesystem>

#include "io/bytes.h"
#include "model_files.h"
#include "support/golden.h"
#include "support/model_runner.h"
#include "support/tiny_checkpoint.h"

namespace mixtral::testing {
namespace {

Result<WriteReport> pack_model(const std::string& from, const std::string& to) {
  MIXTRAL_TRY(const Checkpoint checkpoint, Checkpoint::open(from));
  MIXTRAL_TRY(const ModelSource source, model_source(checkpoint));
  return write_model(source, ModelFormat::kPacked, to, {}, nullptr);
}

std::vector<float> logits_of(const std::string& path, const BackendCase& backend) {
  auto runner = ModelRunner::load(path, make_backend(backend));
  EXPECT_TRUE(runner) << runner.error().message;
  if (!runner) return {};
  return (*runner)->run({1, 5, 700, 3, 99, 1023, 12, 12, 512, 8}, 6).logits;
}

class PackModel : public ::testing::TestWithParam<std::string_view> {};

TEST_P(PackModel, KeepsEveryBitOfWeightsAndLogits) {
  MIXTRAL_FIND_GOLDEN(original, std::string(GetParam()));
  const TemporaryFolder temporary;
  const std::string packed = temporary.file("model");
  const auto report = pack_model(original, packed);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(open_model(packed).kind(), CheckpointKind::kPacked);
  expect_same_config(open_model(original).config(), open_model(packed).config());
  expect_same_weights(open_model(original), open_model(packed));
  for (const BackendCase& backend : backend_cases(false)) {
    const std::vector<float> expected = logits_of(original, backend);
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(logits_of(packed, backend), expected) << backend.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, PackModel,
                         ::testing::Values<std::string_view>(
                             "models/mixtral-tiny-f32", "models/mixtral-tiny-f32-mistral",
                             "models/mixtral-odd-f16", "models/mixtral-small-bf16",
                             "models/mistral-window-bf16", "models/llama-tied-f32",
                             "gguf/mixtral-F16.gguf", "gguf/mixtral-F16-one-tensor-per-expert.gguf",
                             "gguf/mixtral-Q8_0.gguf", "gguf/mixtral-Q4_0.gguf",
                             "gguf/mixtral-Q5_1.gguf", "gguf/mixtral-Q2_K.gguf",
                             "gguf/mixtral-Q3_K_M.gguf", "gguf/mixtral-Q4_K_M.gguf",
                             "gguf/mixtral-Q5_K_M.gguf", "gguf/mixtral-Q6_K.gguf",
                             "gguf/mixtral-IQ4_NL.gguf", "gguf/mixtral-IQ4_XS.gguf"),
                         [](const auto& model) {
                           std::string name(model.param.substr(model.param.find('/') + 1));
                           for (char& c : name) {
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           }
                           return name;
                         });

TEST(PackModel, BecomesTheGgufFileItWasMadeOf) {
  MIXTRAL_FIND_GOLDEN(original, "gguf/mixtral-Q4_K_M.gguf");
  const TemporaryFolder temporary;
  ASSERT_TRUE(pack_model(original, temporary.file("model")));
  ASSERT_TRUE(convert_to(original, temporary.file("expected.gguf")));
  ASSERT_TRUE(convert_to(temporary.file("model"), temporary.file("found.gguf")));
  const Checkpoint expected = open_model(temporary.file("expected.gguf"));
  const Checkpoint found = open_model(temporary.file("found.gguf"));
  expect_same_tensors(expected.tensors(), found.tensors());
  EXPECT_TRUE(expected.metadata().items() == found.metadata().items());
}

TEST(PackModel, PackedTwiceIsTheSameFile) {
  MIXTRAL_FIND_GOLDEN(original, "gguf/mixtral-Q2_K.gguf");
  const TemporaryFolder temporary;
  ASSERT_TRUE(pack_model(original, temporary.file("once")));
  ASSERT_TRUE(pack_model(temporary.file("once"), temporary.file("twice")));
  EXPECT_EQ(read_bytes(temporary.file("once")), read_bytes(temporary.file("twice")));
}

TEST(PackModel, NamesTheRowThatIsNotFiniteAndLeavesNothing) {
  TinyCheckpoint tiny = TinyCheckpoint::mixtral();
  tiny.tensors["model.layers.0.self_attn.o_proj.weight"].values[2 * 8 + 1] = NAN;
  const TemporaryFolder temporary;
  tiny.write(temporary.path());
  const auto report = pack_model(temporary.path(), temporary.file("model"));
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("o_proj.weight, row 2"), std::string::npos)
      << report.error().message;
  EXPECT_FALSE(std::filesystem::exists(temporary.file("model")));
  EXPECT_FALSE(std::filesystem::exists(temporary.file("model.partial")));
}

TEST(PackModel, ReplacesAFileOnlyIfTold) {
  const TemporaryFolder temporary;
  TinyCheckpoint::llama().write(temporary.path());
  ASSERT_TRUE(pack_model(temporary.path(), temporary.file("model")));
  const auto again = pack_model(temporary.path(), temporary.file("model"));
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("exists already"), std::string::npos);
}

}  // namespace
}  // namespace mixtral::testing
