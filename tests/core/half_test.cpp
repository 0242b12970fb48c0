#include "core/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/rng.h"

namespace mixtral {
namespace {

float f32(uint32_t bits) { return std::bit_cast<float>(bits); }
uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }

// The value of a 16-bit float by definition, in double.
double value_of(uint16_t h, int mantissa_bits, int bias) {
  const int exponent = (h & 0x7FFF) >> mantissa_bits;
  const int mantissa = h & ((1 << mantissa_bits) - 1);
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                    : std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
  return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

// Checks that `rounded` is the nearest to `value` of all finite numbers of the format, and the even
// one of two equally near; `infinity` is the format's infinity.
void expect_nearest(float value, uint16_t rounded, int mantissa_bits, int bias, uint16_t infinity) {
  const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000 : 0);
  ASSERT_EQ(rounded & 0x8000, sign) << value;
  const auto magnitude = static_cast<uint16_t>(rounded & 0x7FFF);
  ASSERT_LE(magnitude, infinity) << value;
  // One step beyond the largest finite number stands for infinity, as the standard rounds.
  const double wanted = std::abs(static_cast<double>(value));
  const double error = std::abs(value_of(magnitude, mantissa_bits, bias) - wanted);
  for (const int offset : {-1, 1}) {
    const int neighbour = magnitude + offset;
    if (neighbour < 0 || neighbour > infinity) continue;
    const double other =
        std::abs(value_of(static_cast<uint16_t>(neighbour), mantissa_bits, bias) - wanted);
    ASSERT_LE(error, other) << value;
    ASSERT_TRUE(error < other || magnitude % 2 == 0) << "tie at " << value;
  }
}

void expect_all_rounded(float value) {
  expect_nearest(value, f32_to_f16(value), 10, 15, 0x7C00);
  expect_nearest(value, f32_to_bf16(value), 7, 127, 0x7F80);
}

TEST(F16, ConvertsEveryValueToFloatExactly) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float value = f16_to_f32(half);
    ASSERT_EQ(std::signbit(value), (h & 0x8000) != 0) << h;
    if ((h & 0x7C00) != 0x7C00) {
      ASSERT_EQ(static_cast<double>(value), value_of(half, 10, 15)) << h;
    } else {
      ASSERT_EQ(std::isinf(value), (h & 0x3FF) == 0) << h;
      ASSERT_EQ(std::isnan(value), (h & 0x3FF) != 0) << h;
    }
  }
}

TEST(F16, ComesBackFromFloatForEveryValue) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const uint16_t again = f32_to_f16(f16_to_f32(half));
    if (std::isnan(f16_to_f32(half))) {
      ASSERT_TRUE(std::isnan(f16_to_f32(again))) << h;
    } else {
      ASSERT_EQ(again, half);
    }
  }
}

TEST(Bf16, ComesBackFromFloatForEveryValue) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    ASSERT_EQ(bits_of(bf16_to_f32(half)), h << 16);
    const uint16_t again = f32_to_bf16(bf16_to_f32(half));
    if (std::isnan(bf16_to_f32(half))) {
      ASSERT_TRUE(std::isnan(bf16_to_f32(again))) << h;
    } else {
      ASSERT_EQ(again, half);
    }
  }
}

TEST(Halves, RoundFloatsOfEveryMagnitudeToNearestEven) {
  Rng rng(1);
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (int i = 0; i < 500; ++i) {
      const auto random = static_cast<uint32_t>(rng.next());
      expect_all_rounded(f32((random & 0x807FFFFFu) | exponent << 23));
    }
  }
}

TEST(Halves, RoundTiesAndTheirNeighboursToNearestEven) {
  for (uint32_t h = 0; h < 0x7C00; ++h) {  // halfway between h and the next, and next to halfway
    const auto half = static_cast<uint16_t>(h);
    const double above = value_of(static_cast<uint16_t>(h + 1), 10, 15);
    const auto tie = static_cast<float>((value_of(half, 10, 15) + above) / 2);
    for (const uint32_t bits : {bits_of(tie) - 1, bits_of(tie), bits_of(tie) + 1}) {
      expect_nearest(f32(bits), f32_to_f16(f32(bits)), 10, 15, 0x7C00);
      expect_nearest(-f32(bits), f32_to_f16(-f32(bits)), 10, 15, 0x7C00);
    }
  }
  for (uint32_t h = 0; h < 0x7F80; ++h) {
    for (const uint32_t low : {0x7FFFu, 0x8000u, 0x8001u})
      expect_nearest(f32(h << 16 | low), f32_to_bf16(f32(h << 16 | low)), 7, 127, 0x7F80);
  }
}

TEST(Halves, TurnOverflowIntoInfinityAndKeepNan) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(-65520.0f), 0xFC00);
  EXPECT_EQ(f32_to_f16(kInfinity), 0x7C00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(f32_to_bf16(-kInfinity), 0xFF80);
  for (const uint32_t nan : {0x7F800001u, 0x7FC00000u, 0xFF800001u, 0xFFFFFFFFu}) {
    EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f32(nan))))) << nan;
    EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(f32(nan))))) << nan;
  }
}

TEST(Halves, AreUsableAtCompileTime) {
  static_assert(f32_to_f16(1.5f) == 0x3E00 && f16_to_f32(0x3E00) == 1.5f);
  static_assert(f32_to_f16(0x1p-24f) == 1 && f16_to_f32(1) == 0x1p-24f);
  static_assert(f32_to_bf16(1.5f) == 0x3FC0 && bf16_to_f32(0x3FC0) == 1.5f);
}

}  // namespace
}  // namespace mixtral
