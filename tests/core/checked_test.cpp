#include "core/checked.h"

#include <gtest/gtest.h>

#include <array>

namespace mixtral {
namespace {

constexpr uint64_t kMax = UINT64_MAX;

TEST(CheckedSize, AddsAndMultipliesUpToTheLimit) {
  EXPECT_EQ((CheckedSize(kMax - 1) + 1).value(), kMax);
  EXPECT_EQ((CheckedSize(uint64_t{1} << 32) * ((uint64_t{1} << 32) - 1)).value(),
            kMax - ((uint64_t{1} << 32) - 1));
  EXPECT_EQ((CheckedSize(3) * 4 + 5).value(), 17u);
  EXPECT_EQ((CheckedSize(0) * kMax).value(), 0u);
}

TEST(CheckedSize, HasNoValueAfterAnOverflow) {
  EXPECT_EQ((CheckedSize(kMax) + 1).value(), std::nullopt);
  EXPECT_EQ((CheckedSize(uint64_t{1} << 32) * (uint64_t{1} << 32)).value(), std::nullopt);
  EXPECT_EQ((CheckedSize(kMax) * 2).value(), std::nullopt);
}

TEST(CheckedSize, RemembersAnOverflowThroughLaterSteps) {
  const CheckedSize overflowed = CheckedSize(kMax) + 1;
  EXPECT_EQ((overflowed * 0).value(), std::nullopt);
  EXPECT_EQ((CheckedSize(1) + overflowed).value(), std::nullopt);
  EXPECT_EQ((CheckedSize(0) * overflowed).value(), std::nullopt);
}

TEST(CheckedSize, FitsLimitsItDoesNotExceed) {
  EXPECT_TRUE(CheckedSize(10).fits(10));
  EXPECT_FALSE(CheckedSize(11).fits(10));
  EXPECT_FALSE((CheckedSize(kMax) + 1).fits(kMax));
}

TEST(CheckedProduct, MultipliesAllDimensions) {
  EXPECT_EQ(checked_product({}), 1u);
  EXPECT_EQ(checked_product(std::array<uint64_t, 3>{8, 14336, 4096}), 469762048u);
  EXPECT_EQ(checked_product(std::array<uint64_t, 2>{kMax, 0}), 0u);
  EXPECT_EQ(checked_product(std::array<uint64_t, 3>{kMax, 2, 0}), std::nullopt);
  EXPECT_EQ(checked_product(std::array<uint64_t, 4>{1 << 16, 1 << 16, 1 << 16, 1 << 16}),
            std::nullopt);
}

}  // namespace
}  // namespace mixtral
