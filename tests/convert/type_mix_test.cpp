#include "convert/type_mix.h"

#include <gtest/gtest.h>

#include <map>

#include "convert/make_model.h"
#include "model_files.h"
#include "support/golden.h"

namespace mixtral::testing {
namespace {

class TypeMixOfFile : public ::testing::TestWithParam<std::string_view> {};

// The files were written by llama-quantize itself.
TEST_P(TypeMixOfFile, IsWhatLlamaQuantizeChose) {
  MIXTRAL_FIND_GOLDEN(path, "gguf/mixtral-" + std::string(GetParam()) + ".gguf");
  const auto checkpoint = Checkpoint::open(path);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto mix = type_mix_from_name(GetParam());
  ASSERT_TRUE(mix) << mix.error().message;
  for (const WeightId id : all_weights(checkpoint->config())) {
    const auto source = checkpoint->source(id);
    EXPECT_EQ(type_name(type_in_mix(**mix, checkpoint->config(), id, source->cols())),
              type_name(source->type()))
        << source->name();
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, TypeMixOfFile,
                         ::testing::Values<std::string_view>("F32", "F16", "BF16", "Q8_0", "Q4_0",
                                                             "Q4_1", "Q5_0", "Q5_1", "Q2_K",
                                                             "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M",
                                                             "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS"),
                         case_name);

/// "Q6_K Q4_K …", the types of one role in all layers.
std::string types_of(std::string_view mix_name, const ModelConfig& config, Role role) {
  const TypeMix* mix = type_mix_from_name(mix_name).value();
  std::string text;
  for (size_t layer = 0; layer < config.n_layers; ++layer) {
    if (layer > 0) text += ' ';
    text += type_name(type_in_mix(*mix, config, {role, layer}, config.dim));
  }
  return text;
}

TEST(TypeMix, SpreadsBetterTypesOverTheLayers) {
  ModelConfig config = *model_shape("mixtral-8x7b");
  config.n_layers = 8;
  EXPECT_EQ(types_of("Q4_K_M", config, Role::kWDown), "Q6_K Q4_K Q4_K Q6_K Q4_K Q4_K Q6_K Q6_K");
  EXPECT_EQ(types_of("Q4_K_S", config, Role::kWDown), "Q5_K Q4_K Q4_K Q4_K Q4_K Q4_K Q4_K Q4_K");
  EXPECT_EQ(types_of("Q3_K_M", config, Role::kWDown), "Q4_K Q4_K Q4_K Q4_K Q4_K Q4_K Q4_K Q4_K");
}

TEST(TypeMix, GivesDenseModelsNoEightBitKeys) {
  ModelConfig config = *model_shape("llama-2-7b");
  config.n_layers = 4;
  EXPECT_EQ(types_of("Q4_K_M", config, Role::kWk), "Q4_K Q4_K Q4_K Q4_K");
  EXPECT_EQ(types_of("Q4_K_M", config, Role::kWv), "Q4_K Q4_K Q6_K Q6_K");
  EXPECT_EQ(types_of("Q3_K_M", config, Role::kWv), "Q5_K Q5_K Q4_K Q4_K");
  EXPECT_EQ(types_of("Q2_K", config, Role::kWv), "Q3_K Q3_K Q3_K Q3_K");
  config = *model_shape("mistral-7b");  // four heads share each key
  config.n_layers = 2;
  EXPECT_EQ(types_of("Q2_K", config, Role::kWv), "Q4_K Q4_K");
  config = *model_shape("llama-2-70b");  // eight do
  config.n_layers = 2;
  EXPECT_EQ(types_of("Q4_K_S", config, Role::kWv), "Q5_K Q5_K");
}

TEST(TypeMix, PlainNamesOfTypesMeanEveryMatrix) {
  const ModelConfig config = *model_shape("mixtral-8x7b");
  const TypeMix* mix = type_mix_from_name("q4_k").value();
  for (const WeightId id : all_weights(config)) {
    const Type type = type_in_mix(*mix, config, id, config.dim);
    const bool small = id.role == Role::kRouter || id.role == Role::kFfnNorm ||
                       id.role == Role::kAttentionNorm || id.role == Role::kOutputNorm;
    EXPECT_EQ(type, small ? Type::kF32 : Type::kQ4_K);
  }
}

TEST(TypeMix, TakesASmallerBlockWhereRowsDoNotDivide) {
  const ModelConfig config = *model_shape("mixtral-8x7b");
  const auto type = [&](const char* mix, Role role, size_t cols) {
    return type_in_mix(**type_mix_from_name(mix), config, {role, 5}, cols);
  };
  EXPECT_EQ(type("Q4_K_S", Role::kWUp, 160), Type::kQ5_0);
  EXPECT_EQ(type("Q5_K_S", Role::kWUp, 160), Type::kQ5_1);
  EXPECT_EQ(type("Q6_K", Role::kWUp, 160), Type::kQ8_0);
  EXPECT_EQ(type("Q2_K", Role::kWUp, 160), Type::kQ4_0);
  EXPECT_EQ(type("Q3_K_S", Role::kWUp, 160), Type::kQ4_0);
  EXPECT_EQ(type("IQ4_XS", Role::kWUp, 160), Type::kIQ4_NL);
  EXPECT_EQ(type("Q4_K_M", Role::kOutput, 160), Type::kQ8_0);
  EXPECT_EQ(type("Q4_0", Role::kWUp, 100), Type::kF16);
}

TEST(TypeMix, SpendsBitsOtherwiseWhereImportanceIsKnown) {
  ModelConfig config = *model_shape("mixtral-8x7b");
  config.n_layers = 8;
  const auto type = [&](const char* mix, size_t layer, bool weighted) {
    return wanted_type(**type_mix_from_name(mix), config, {Role::kWDown, layer}, weighted);
  };
  EXPECT_EQ(type("IQ4_XS", 0, false), Type::kQ5_K);
  EXPECT_EQ(type("IQ4_XS", 0, true), Type::kIQ4_XS);
  EXPECT_EQ(type("Q4_0", 0, false), Type::kQ4_0);
  EXPECT_EQ(type("Q4_0", 0, true), Type::kQ4_1);
  EXPECT_EQ(type("Q4_0", 1, true), Type::kQ4_0);
  EXPECT_EQ(type("Q5_0", 0, true), Type::kQ5_1);
  EXPECT_EQ(type("Q4_K_M", 0, true), type("Q4_K_M", 0, false));
}

TEST(TypeMix, NamesTheChoicesWhenUnknown) {
  const auto mix = type_mix_from_name("Q9_K");
  ASSERT_FALSE(mix);
  EXPECT_NE(mix.error().message.find("'Q9_K' is unknown, expected one of F32, F16"),
            std::string::npos);
}

}  // namespace
}  // namespace mixtral::testing
