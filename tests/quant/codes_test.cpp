#include "quant/codes.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/rng.h"

namespace mixtral {
namespace {

template <class Block>
class Codes : public ::testing::Test {};
using Blocks = ::testing::Types<BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ2_K, BlockQ3_K,
                                BlockQ4_K, BlockQ5_K, BlockQ6_K, BlockIQ4_NL, BlockIQ4_XS>;
TYPED_TEST_SUITE(Codes, Blocks);

TYPED_TEST(Codes, ComeBackAsTheSameBytes) {
  Rng rng(1);
  uint8_t bytes[sizeof(TypeParam)];
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next());
  TypeParam block;
  std::memcpy(&block, bytes, sizeof(block));
  uint8_t codes[TypeParam::kWeights];
  get_codes(block, codes);
  uint8_t zeros[TypeParam::kWeights] = {};
  set_codes(zeros, block);
  EXPECT_NE(std::memcmp(&block, bytes, sizeof(block)), 0);
  set_codes(codes, block);
  EXPECT_EQ(std::memcmp(&block, bytes, sizeof(block)), 0);
}

TEST(KScales, ComeBackAsTheSameBytes) {
  Rng rng(2);
  for (int i = 0; i < 1000; ++i) {
    uint8_t packed[12], again[12];
    for (uint8_t& byte : packed) byte = static_cast<uint8_t>(rng.next());
    const KScales scales = k_scales(packed);
    for (size_t s = 0; s < 8; ++s) {
      ASSERT_LT(scales.scales[s], 64);
      ASSERT_LT(scales.mins[s], 64);
    }
    set_k_scales(scales, again);
    ASSERT_EQ(std::memcmp(packed, again, sizeof(packed)), 0);
  }
}

TEST(Q3Scales, ComeBackAsTheSameBytes) {
  Rng rng(3);
  for (int i = 0; i < 1000; ++i) {
    uint8_t packed[12], again[12];
    for (uint8_t& byte : packed) byte = static_cast<uint8_t>(rng.next());
    set_q3_scales(q3_scales(packed), again);
    ASSERT_EQ(std::memcmp(packed, again, sizeof(packed)), 0);
  }
}

TEST(Iq4Scales, ComeBackAsTheSameBytes) {
  Rng rng(4);
  for (int i = 0; i < 1000; ++i) {
    std::array<int8_t, 8> scales;
    for (int8_t& scale : scales) scale = static_cast<int8_t>(static_cast<int>(rng.below(64)) - 32);
    BlockIQ4_XS block;
    set_iq4_scales(scales, block);
    ASSERT_EQ(iq4_scales(block), scales);
  }
}

}  // namespace
}  // namespace mixtral
