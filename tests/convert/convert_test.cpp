#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "convert/compare_models.h"
#include "io/json.h"
#include "model_files.h"
#include "ops/reference.h"
#include "quant/unpack.h"
#include "support/golden.h"
#include "support/tiny_checkpoint.h"

namespace mixtral::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_of(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

class ConvertFolder : public ::testing::TestWithParam<std::string_view> {};

TEST_P(ConvertFolder, ThroughGgufAndBackKeepsEveryBit) {
  MIXTRAL_FIND_GOLDEN(folder, "models/" + std::string(GetParam()));
  const TemporaryFolder temporary;
  const std::string gguf = temporary.file("model.gguf"), back = temporary.file("back");
  const auto there = convert_to(folder, gguf);
  ASSERT_TRUE(there) << there.error().message;
  EXPECT_TRUE(there->notes.empty()) << there->notes.front();
  const auto back_again = convert_to(gguf, back);
  ASSERT_TRUE(back_again) << back_again.error().message;
  EXPECT_TRUE(back_again->notes.empty()) << back_again->notes.front();

  const auto before = open_safetensors_folder(folder), after = open_safetensors_folder(back);
  ASSERT_TRUE(before && after);
  expect_same_tensors(*before, *after);
  expect_same_config(open_model(folder).config(), open_model(gguf).config());
  expect_same_config(open_model(folder).config(), open_model(back).config());
}

TEST_P(ConvertFolder, KeepsTheLogits) {
  MIXTRAL_FIND_GOLDEN(folder, "models/" + std::string(GetParam()));
  const TemporaryFolder temporary;
  const std::string gguf = temporary.file("model.gguf");
  ASSERT_TRUE(convert_to(folder, gguf));
  const std::vector<int32_t> ids = {1,  5,  700, 3,  99, 1023, 12, 12, 512, 8,
                                    40, 41, 42,  43, 44, 45,   46, 47, 48,  49};
  const auto comparison =
      compare_models(open_model(folder), open_model(gguf), ids, reference_backend, nullptr);
  ASSERT_TRUE(comparison) << comparison.error().message;
  EXPECT_EQ(comparison->n_positions, ids.size());
  EXPECT_EQ(comparison->n_same_best, ids.size());
  EXPECT_EQ(comparison->largest_difference, 0.0f);  // the same weights in the same arithmetic
}

INSTANTIATE_TEST_SUITE_P(
    Golden, ConvertFolder,
    ::testing::Values<std::string_view>("mixtral-tiny-f32", "mixtral-small-bf16", "mixtral-odd-f16",
                                        "mistral-window-bf16", "llama2-f16", "llama-tied-f32"),
    case_name);

TEST(Convert, MistralFolderBecomesTheSameModelsHuggingFaceFolder) {
  MIXTRAL_FIND_GOLDEN(mistral, "models/mixtral-tiny-f32-mistral");
  MIXTRAL_FIND_GOLDEN(hugging_face, "models/mixtral-tiny-f32");
  const TemporaryFolder temporary;
  ASSERT_TRUE(convert_to(mistral, temporary.file("out")));
  const auto expected = open_safetensors_folder(hugging_face);
  const auto found = open_safetensors_folder(temporary.file("out"));
  ASSERT_TRUE(expected && found);
  expect_same_tensors(*expected, *found);
}

class ConvertGguf : public ::testing::TestWithParam<std::string_view> {};

TEST_P(ConvertGguf, ThroughFolderAndBackKeepsEveryBit) {
  MIXTRAL_FIND_GOLDEN(gguf, "gguf/mixtral-" + std::string(GetParam()) + ".gguf");
  const TemporaryFolder temporary;
  const std::string folder = temporary.file("folder"), back = temporary.file("back.gguf");
  ASSERT_TRUE(convert_to(gguf, folder));
  ASSERT_TRUE(convert_to(folder, back));
  const Checkpoint before = open_model(gguf), after = open_model(back);
  expect_same_weights(before, after);
  expect_same_config(before.config(), after.config());
  for (const char* key :
       {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.bos_token_id",
        "tokenizer.ggml.eos_token_id", "tokenizer.ggml.add_bos_token"}) {
    ASSERT_NE(after.metadata().find(key), nullptr) << key;
    EXPECT_TRUE(*before.metadata().find(key) == *after.metadata().find(key)) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ConvertGguf,
                         ::testing::Values<std::string_view>("F32", "F16", "BF16",
                                                             "F16-one-tensor-per-expert"),
                         case_name);

TEST(Convert, FromGgufToGgufKeepsBlocksAndMetadata) {
  MIXTRAL_FIND_GOLDEN(gguf, "gguf/mixtral-Q4_K_M.gguf");
  const TemporaryFolder temporary;
  ASSERT_TRUE(convert_to(gguf, temporary.file("copy.gguf")));
  const Checkpoint before = open_model(gguf), after = open_model(temporary.file("copy.gguf"));
  expect_same_tensors(before.tensors(), after.tensors());
  for (const auto& [key, value] : before.metadata().items()) {
    ASSERT_NE(after.metadata().find(key), nullptr) << key;
    EXPECT_TRUE(*after.metadata().find(key) == value) << key;
  }
}

TEST(Convert, WidensBlocksExactlyAndSaysSo) {
  MIXTRAL_FIND_GOLDEN(gguf, "gguf/mixtral-Q4_K_M.gguf");
  const TemporaryFolder temporary;
  const auto report = convert_to(gguf, temporary.file("folder"));
  ASSERT_TRUE(report) << report.error().message;
  const std::string expected =
      "w_down (8 matrices): Q6_K became F32: the same values, but the blocks they were stored in "
      "are gone";
  EXPECT_EQ(std::count(report->notes.begin(), report->notes.end(), expected), 1);

  const Checkpoint before = open_model(gguf), after = open_model(temporary.file("folder"));
  for (const WeightId id : all_weights(before.config())) {
    const auto stored = before.source(id), widened = after.source(id);
    ASSERT_EQ(widened->type(), Type::kF32);
    const size_t last = stored->n_matrices() - 1, n = stored->rows() * stored->cols();
    std::vector<float> expected_values(n);
    unpack(stored->type(last), matrix_bytes(*stored, last).data(), n, expected_values.data());
    const std::vector<std::byte> found = matrix_bytes(*widened, last);
    EXPECT_EQ(std::memcmp(found.data(), expected_values.data(), found.size()), 0) << stored->name();
  }
}

TEST(Convert, RoundsMatricesToTheTypeAskedForAndSaysSo) {
  MIXTRAL_FIND_GOLDEN(folder, "models/llama-tied-f32");
  const TemporaryFolder temporary;
  const auto report = convert_to(folder, temporary.file("out"), {.type = Type::kBF16});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->notes.size(), 8u);  // one for each role of matrix
  EXPECT_NE(report->notes.front().find("F32 became BF16: values were rounded"), std::string::npos);
  const Checkpoint out = open_model(temporary.file("out"));
  EXPECT_EQ(out.source({Role::kWDown, 1})->type(), Type::kBF16);
  EXPECT_EQ(out.source({Role::kFfnNorm, 1})->type(), Type::kF32);  // BF16 would lose bits of it
}

// Other readers of GGUF files take vectors in F32 only.
TEST(Convert, PutsVectorsAndRoutersInF32IntoGgufFiles) {
  MIXTRAL_FIND_GOLDEN(folder, "models/mixtral-odd-f16");
  const TemporaryFolder temporary;
  ASSERT_TRUE(convert_to(folder, temporary.file("out.gguf")));
  const Checkpoint out = open_model(temporary.file("out.gguf"));
  for (const Role role : {Role::kOutputNorm, Role::kAttentionNorm, Role::kFfnNorm, Role::kRouter})
    EXPECT_EQ(out.source({role, 0})->type(), Type::kF32) << role_name(role);
  EXPECT_EQ(out.source({Role::kWq, 0})->type(), Type::kF16);
}

TEST(Convert, RefusesValuesThatTheTypeCannotHold) {
  TinyCheckpoint tiny = TinyCheckpoint::llama();
  tiny.tensors.at("model.layers.0.mlp.up_proj.weight").values[13] = 70000.0f;
  const TemporaryFolder temporary;
  fs::create_directory(temporary.file("in"));
  tiny.write(temporary.file("in"));
  const auto report = convert_to(temporary.file("in"), temporary.file("out"), {.type = Type::kF16});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("up_proj"), std::string::npos) << report.error().message;
  EXPECT_NE(report.error().message.find("too large for F16"), std::string::npos);
  EXPECT_EQ(files_of(temporary.path()), std::vector<std::string>{"in"});
}

TEST(Convert, SplitsLargeFoldersIntoShardsWithAnIndex) {
  MIXTRAL_FIND_GOLDEN(folder, "models/mixtral-odd-f16");
  const TemporaryFolder temporary;
  const std::string out = temporary.file("out");
  ASSERT_TRUE(convert_to(folder, out, {.shard_bytes = 500000}));
  EXPECT_EQ(files_of(out),
            (std::vector<std::string>{
                "config.json", "generation_config.json", "model-00001-of-00003.safetensors",
                "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors",
                "model.safetensors.index.json"}));
  const auto before = open_safetensors_folder(folder), after = open_safetensors_folder(out);
  ASSERT_TRUE(before && after);
  expect_same_tensors(*before, *after);
}

TEST(Convert, ReplacesOnlyWhenAsked) {
  MIXTRAL_FIND_GOLDEN(model, "models/llama2-f16");
  const TemporaryFolder temporary;
  for (const std::string& out : {temporary.file("out.gguf"), temporary.file("out")}) {
    ASSERT_TRUE(convert_to(model, out));
    const auto refused = convert_to(model, out);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kBadInput);
    EXPECT_NE(refused.error().message.find("exists already"), std::string::npos);
    EXPECT_TRUE(convert_to(model, out, {.replace = true}));
  }
}

TEST(Convert, ReplacingAFolderLeavesNoOldWeightsAndKeepsOtherFiles) {
  MIXTRAL_FIND_GOLDEN(model, "models/llama2-f16");
  const TemporaryFolder temporary;
  const std::string out = temporary.file("out");
  ASSERT_TRUE(convert_to(model, out, {.shard_bytes = 300000}));
  write_text(out + "/README.md", "mine");
  ASSERT_TRUE(convert_to(model, out, {.replace = true}));
  EXPECT_EQ(files_of(out),
            (std::vector<std::string>{"README.md", "config.json", "generation_config.json",
                                      "model.safetensors"}));
}

/// While it lives, files larger than this cannot be written: a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(Convert, LeavesNothingBehindWhenTheDiskIsFull) {
  MIXTRAL_FIND_GOLDEN(model, "models/llama2-f16");
  const TemporaryFolder temporary;
  const FileSizeLimit limit(100000);
  for (const std::string& out : {temporary.file("out.gguf"), temporary.file("out")}) {
    const auto report = convert_to(model, out);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::kIo) << report.error().message;
    EXPECT_TRUE(files_of(temporary.path()).empty());
  }
}

TEST(Convert, WritesNumbersAsPeopleDo) {
  MIXTRAL_FIND_GOLDEN(model, "models/llama2-f16");
  const TemporaryFolder temporary;
  ASSERT_TRUE(convert_to(model, temporary.file("out")));
  const auto config = read_json_file(temporary.file("out") + "/config.json", 1 << 20);
  ASSERT_TRUE(config);
  EXPECT_EQ((*config)["rms_norm_eps"].dump(), "1e-05");
  EXPECT_EQ((*config)["rope_theta"], (*config)["rope_parameters"]["rope_theta"]);
}

}  // namespace
}  // namespace mixtral::testing
