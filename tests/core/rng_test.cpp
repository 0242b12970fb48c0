#include "core/rng.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace mixtral {
namespace {

// Computed from the authors' definitions of splitmix64 and xoshiro256++ in another language.
TEST(Rng, GivesTheStreamOfXoshiroPlusPlus) {
  Rng zero(0);
  for (const uint64_t expected : {0x53175D61490B23DFu, 0x61DA6F3DC380D507u, 0x5C0FDF91EC9A7BFCu})
    EXPECT_EQ(zero.next(), expected);
  Rng other(42);
  for (const uint64_t expected :
       {0xD0764D4F4476689Fu, 0x519E4174576F3791u, 0xFBE07CFB0C24ED8Cu, 0xB37D9F600CD835B8u})
    EXPECT_EQ(other.next(), expected);
}

TEST(Rng, DrawsUniformNumbersBelowOne) {
  Rng rng(1);
  constexpr int kDraws = 1'000'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = rng.uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    squares += u * u;
  }
  const double mean = sum / kDraws;
  EXPECT_NEAR(mean, 0.5, 5 * 0.289 / 1000);  // five standard errors
  EXPECT_NEAR(squares / kDraws - mean * mean, 1.0 / 12, 5 * 0.0746 / 1000);
}

TEST(Rng, DrawsNormalNumbersOfUnitVariance) {
  Rng rng(2);
  constexpr int kDraws = 1'000'000;
  double sum = 0, squares = 0, fourths = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double z = rng.normal();
    ASSERT_TRUE(std::isfinite(z));
    sum += z;
    squares += z * z;
    fourths += z * z * z * z;
  }
  EXPECT_NEAR(sum / kDraws, 0, 5 * 1.0 / 1000);
  EXPECT_NEAR(squares / kDraws, 1, 5 * 1.42 / 1000);
  EXPECT_NEAR(fourths / kDraws, 3, 5 * 9.8 / 1000);
}

TEST(Rng, DrawsEveryNumberBelowALimitEquallyOften) {
  Rng rng(3);
  std::array<int, 7> counts{};
  for (int i = 0; i < 700'000; ++i) ++counts[rng.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 100'000, 5 * 293);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(rng.below(1), 0u);
  bool upper_half = false;
  for (int i = 0; i < 100; ++i) upper_half |= rng.below(UINT64_MAX) > UINT64_MAX / 2;
  EXPECT_TRUE(upper_half);
}

}  // namespace
}  // namespace mixtral
