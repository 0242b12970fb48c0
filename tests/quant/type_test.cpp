#include "quant/type.h"

#include <gtest/gtest.h>

namespace mixtral {
namespace {

TEST(Type, HasTheSizesOfTheGgufSpecification) {
  struct Expected {
    uint32_t id;
    std::string_view name;
    size_t block_size, block_bytes;
  };
  const Expected expected[] = {
      {0, "F32", 1, 4},       {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
      {3, "Q4_1", 32, 20},    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
      {8, "Q8_0", 32, 34},    {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},
      {12, "Q4_K", 256, 144}, {13, "Q5_K", 256, 176},   {14, "Q6_K", 256, 210},
      {20, "IQ4_NL", 32, 18}, {23, "IQ4_XS", 256, 136}, {30, "BF16", 1, 2}};
  ASSERT_EQ(all_types().size(), std::size(expected));
  for (size_t i = 0; i < std::size(expected); ++i) {
    const TypeInfo& info = all_types()[i];
    EXPECT_EQ(static_cast<uint32_t>(info.type), expected[i].id);
    EXPECT_EQ(info.name, expected[i].name);
    EXPECT_EQ(info.block_size, expected[i].block_size) << info.name;
    EXPECT_EQ(info.block_bytes, expected[i].block_bytes) << info.name;
  }
}

TEST(Type, IsFoundByIdAndByNameInEitherCase) {
  for (const TypeInfo& info : all_types()) {
    EXPECT_EQ(type_from_id(static_cast<uint32_t>(info.type)), info.type);
    EXPECT_EQ(type_from_name(info.name), info.type);
    EXPECT_EQ(type_name(info.type), info.name);
    EXPECT_EQ(gguf_type_name(static_cast<uint32_t>(info.type)), info.name);
  }
  EXPECT_EQ(type_from_name("q4_k"), Type::kQ4_K);
  EXPECT_EQ(type_from_name("iq4_Nl"), Type::kIQ4_NL);
}

TEST(Type, IsNotFoundForWhatIsUnsupported) {
  for (const uint32_t id : {4u, 5u, 9u, 15u, 16u, 24u, 29u, 31u, 39u, 42u, ~0u})
    EXPECT_EQ(type_from_id(id), std::nullopt) << id;
  for (const std::string_view name : {"", "Q4", "Q4_K_M", "IQ2_XXS", "F64"})
    EXPECT_EQ(type_from_name(name), std::nullopt) << name;
}

TEST(Type, KnowsTheNamesOfUnsupportedIds) {
  EXPECT_EQ(gguf_type_name(4), "Q4_2");
  EXPECT_EQ(gguf_type_name(9), "Q8_1");
  EXPECT_EQ(gguf_type_name(16), "IQ2_XXS");
  EXPECT_EQ(gguf_type_name(19), "IQ1_S");
  EXPECT_EQ(gguf_type_name(24), "I8");
  EXPECT_EQ(gguf_type_name(28), "F64");
  EXPECT_EQ(gguf_type_name(29), "IQ1_M");
  EXPECT_EQ(gguf_type_name(33), "Q4_0_8_8");
  EXPECT_EQ(gguf_type_name(34), "TQ1_0");
  EXPECT_EQ(gguf_type_name(38), "IQ4_NL_8_8");
  EXPECT_EQ(gguf_type_name(39), "MXFP4");
  EXPECT_EQ(gguf_type_name(41), "Q1_0");
  EXPECT_EQ(gguf_type_name(42), "");
  EXPECT_EQ(gguf_type_name(~0u), "");
}

TEST(Type, CountsTheBytesOfARow) {
  EXPECT_EQ(row_bytes(Type::kF32, 5), 20u);
  EXPECT_EQ(row_bytes(Type::kQ8_0, 64), 68u);
  EXPECT_EQ(row_bytes(Type::kQ4_K, 4096), 2304u);
  EXPECT_EQ(row_bytes(Type::kQ4_K, 0), 0u);
  EXPECT_DEATH(row_bytes(Type::kQ4_K, 128), "whole number of blocks");
}

TEST(Type, IsQuantisedIfItHasBlocks) {
  EXPECT_FALSE(is_quantised(Type::kF32));
  EXPECT_FALSE(is_quantised(Type::kF16));
  EXPECT_FALSE(is_quantised(Type::kBF16));
  EXPECT_TRUE(is_quantised(Type::kQ8_0));
  EXPECT_TRUE(is_quantised(Type::kIQ4_XS));
}

}  // namespace
}  // namespace mixtral
