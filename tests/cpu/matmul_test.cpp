#include <cmath>

#include "kernel_testing.h"

namespace mixtral::cpu {
namespace {

class MatmulOf : public testing::TestWithParam<Type> {
 protected:
  static std::vector<size_t> widths() {
    const size_t block = type_info(GetParam()).block_size;
    if (block == 1) return {1, 2, 3, 15, 17, 97, 256};
    if (block == 32) return {32, 64, 96, 256, 288, 1024};
    return {256, 512, 768, 1024};
  }
  static MatmulFn matmul(const KernelTable& table) { return table.matmul[table_index(GetParam())]; }
};
INSTANTIATE_TEST_SUITE_P(AllTypes, MatmulOf,
                         testing::Values(Type::kF32, Type::kF16, Type::kBF16, Type::kQ4_0,
                                         Type::kQ4_1, Type::kQ5_0, Type::kQ5_1, Type::kQ8_0,
                                         Type::kQ2_K, Type::kQ3_K, Type::kQ4_K, Type::kQ5_K,
                                         Type::kQ6_K, Type::kIQ4_NL, Type::kIQ4_XS),
                         type_test_name);

class MatmulOfCodes : public MatmulOf {};
INSTANTIATE_TEST_SUITE_P(QuantisedTypes, MatmulOfCodes,
                         testing::Values(Type::kQ4_0, Type::kQ4_1, Type::kQ5_0, Type::kQ5_1,
                                         Type::kQ8_0, Type::kQ2_K, Type::kQ3_K, Type::kQ4_K,
                                         Type::kQ5_K, Type::kQ6_K, Type::kIQ4_NL, Type::kIQ4_XS),
                         type_test_name);

// y [n_rows, 16] in the middle of a wider matrix, whose other columns must stay as they are.
constexpr size_t kStride = 16 + 5;
std::vector<float> multiply(MatmulFn matmul, const TestPanel& panel, const Activations& x) {
  GuardedFloats y(x.n_rows * kStride);
  std::fill_n(y.data(), x.n_rows * kStride, GuardedFloats::kSentinel);
  matmul(panel.view(), x, y.data(), kStride);
  EXPECT_TRUE(y.guards_intact());
  std::vector<float> out;
  for (size_t row = 0; row < x.n_rows; ++row) {
    for (size_t i = 0; i < kStride; ++i) {
      if (i < 16) {
        out.push_back(y[row * kStride + i]);
      } else {
        EXPECT_EQ(y[row * kStride + i], GuardedFloats::kSentinel);
      }
    }
  }
  return out;
}

// Against the dot product in double of the same weights and the same quantised activations: what is
// left is the rounding of float sums.
void expect_dot_products(const TestPanel& panel, const TestActivations& x,
                         const std::vector<float>& y) {
  for (size_t row = 0; row < x.view.n_rows; ++row) {
    for (size_t out = 0; out < panel.n_rows; ++out) {
      double sum = 0, magnitude = 0;
      for (size_t col = 0; col < panel.cols; ++col) {
        const double product =
            x.at(row, col) * static_cast<double>(panel.weights[out * panel.cols + col]);
        sum += product;
        magnitude += std::fabs(product);
      }
      // Mins are summed apart from the codes, so their sizes count, not that of the difference: for
      // the types with mins both can be a few times larger than the weights.
      ASSERT_NEAR(y[row * 16 + out], sum, 2e-6 * magnitude + 1e-30)
          << "activations row " << row << ", output " << out << ", " << panel.cols << " columns";
    }
  }
}

TEST_P(MatmulOf, IsTheDotProductOfWeightsAndActivations) {
  Random random(4);
  for (const size_t cols : widths()) {
    const TestPanel panel(random, GetParam(), 16, cols);
    const TestActivations x(activation_format(GetParam()), cols, 3,
                            random_floats(random, 3 * cols));
    expect_dot_products(panel, x, multiply(matmul(scalar_kernels()), panel, x.view));
  }
}

// Up to 8 rows, one pair of tiles, two pairs, full ones, and more than one pass over a panel.
constexpr size_t kRowCounts[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                 12, 13, 14, 15, 16, 17, 31, 32, 33, 64, 207};

TEST_P(MatmulOf, GivesEachRowTheSameBitsForAnyNumberOfRowsAndInstructionSet) {
  Random random(5);
  for (const size_t cols : widths()) {
    const size_t most = cols <= 256 ? 207 : 33;
    const TestPanel panel(random, GetParam(), 16, cols);
    const TestActivations x(activation_format(GetParam()), cols, most,
                            random_floats(random, most * cols));
    std::vector<float> expected;
    for (size_t row = 0; row < most; ++row) {
      const std::vector<float> y = multiply(matmul(scalar_kernels()), panel, x.row(row));
      expected.insert(expected.end(), y.begin(), y.end());
    }
    for (const Kernels& kernels : kernels_here()) {
      for (const size_t n_rows : kRowCounts) {
        if (n_rows > most) break;
        Activations some = x.view;
        some.n_rows = n_rows;
        const std::vector<float> y = multiply(matmul(kernels.table()), panel, some);
        ASSERT_TRUE(same_bits(y, {expected.begin(), expected.begin() + n_rows * 16}))
            << kernels.name << ", " << n_rows << " rows of " << cols << " columns";
      }
    }
  }
}

// Few rows go through four panels together, then through two, then through one. Strides between
// panels may leave gaps.
TEST_P(MatmulOf, GivesEachPanelTheSameBitsAsAlone) {
  constexpr size_t kPanels = 7, kGap = 128, kRows = 12;
  Random random(13);
  const size_t cols = widths().back();
  const TestActivations x(activation_format(GetParam()), cols, kRows,
                          random_floats(random, kRows * cols));
  const size_t stride = panel_bytes(GetParam(), cols) + kGap;
  const AlignedBuffer panels(kPanels * stride);
  std::memset(panels.data(), 0x7F, panels.size());
  std::vector<float> expected(kRows * kPanels * 16);
  for (size_t p = 0; p < kPanels; ++p) {
    const TestPanel panel(random, GetParam(), 16, cols);
    std::memcpy(panels.data() + p * stride, panel.panel.data(), panel.panel.size());
    const std::vector<float> y = multiply(matmul(scalar_kernels()), panel, x.view);
    for (size_t row = 0; row < kRows; ++row)
      std::copy_n(&y[row * 16], 16, &expected[(row * kPanels + p) * 16]);
  }
  for (const Kernels& kernels : kernels_here()) {
    for (size_t n_panels = 1; n_panels <= kPanels; ++n_panels) {
      for (size_t n_rows = 1; n_rows <= kRows; ++n_rows) {
        Activations some = x.view;
        some.n_rows = n_rows;
        GuardedFloats y(std::vector<float>(n_rows * kPanels * 16, GuardedFloats::kSentinel));
        const Streaming streaming = {.bytes_ahead = 1000 * n_panels,
                                     .into_l1 = n_rows % 2 == 0,
                                     .several_panels = n_rows % 3 != 0};
        matmul(kernels.table())({panels.data(), n_panels, stride, cols, streaming}, some, y.data(),
                                kPanels * 16);
        std::vector<float> wanted(expected.begin(), expected.begin() + n_rows * kPanels * 16);
        for (size_t i = 0; i < wanted.size(); ++i) {
          if (i / 16 % kPanels >= n_panels) wanted[i] = GuardedFloats::kSentinel;
        }
        ASSERT_TRUE(same_bits(y.values(), wanted))
            << kernels.name << ", " << n_panels << " panels, " << n_rows << " rows";
        EXPECT_TRUE(y.guards_intact());
      }
    }
  }
}

TEST_P(MatmulOfCodes, GiveTheSameBitsInPasses) {
  Random random(12);
  const size_t cols = widths().back();
  const TestPanel panel(random, GetParam(), 16, cols);
  const TestActivations x(activation_format(GetParam()), cols, 40,
                          random_floats(random, 40 * cols));
  for (const Kernels& kernels : kernels_here()) {
    for (const size_t n_rows : {1, 7, 40}) {
      Activations pass = x.view;
      pass.n_rows = n_rows;
      const MatmulFn kernel = matmul(kernels.table());
      const std::vector<float> expected = multiply(kernel, panel, pass);
      std::vector<float> y(n_rows * 16, NAN);
      for (const size_t end : {1, 3, 4}) {
        pass.end_chunk = end;
        kernel(panel.view(), pass, y.data(), 16);
        pass.first_chunk = end;
      }
      EXPECT_TRUE(same_bits(y, expected)) << kernels.name << ", " << n_rows << " rows";
    }
  }
}

// The largest codes with the largest activations would show any saturating 16-bit sum.
TEST_P(MatmulOfCodes, SurviveExtremes) {
  const size_t cols = 512;
  const TypeInfo& info = type_info(GetParam());
  for (const int fill : {0x00, 0x80, 0x7F, 0xFF}) {
    Random random(6);
    std::vector<std::byte> stored = random_weights(random, GetParam(), 16 * cols);
    const std::vector<std::byte> heads = stored;
    std::fill(stored.begin(), stored.end(), static_cast<std::byte>(fill));
    for (size_t at = 0; at < stored.size(); at += info.block_bytes) {
      // d (and what follows it) comes first or last, as in random_weights().
      const size_t end = at + info.block_bytes;
      const bool last =
          GetParam() == Type::kQ2_K || GetParam() == Type::kQ3_K || GetParam() == Type::kQ6_K;
      const size_t n = GetParam() == Type::kQ4_1 || GetParam() == Type::kQ5_1 ||
                               GetParam() == Type::kQ2_K || GetParam() == Type::kQ4_K ||
                               GetParam() == Type::kQ5_K
                           ? 4
                           : 2;
      std::memcpy(&stored[last ? end - n : at], &heads[last ? end - n : at], n);
    }
    const TestPanel panel(GetParam(), 16, cols, stored);
    for (const float value : {1.0f, -1.0f}) {
      const size_t n_rows = 19;  // more than a few: those are row 0 alone
      const std::vector<float> values(n_rows * cols, value);
      const TestActivations x(activation_format(GetParam()), cols, n_rows, values);
      const std::vector<float> expected = multiply(matmul(scalar_kernels()), panel, x.view);
      expect_dot_products(panel, x, expected);
      for (const Kernels& kernels : kernels_here()) {
        const MatmulFn kernel = matmul(kernels.table());
        EXPECT_TRUE(same_bits(multiply(kernel, panel, x.view), expected))
            << kernels.name << " fill " << fill << " value " << value;
        EXPECT_TRUE(
            same_bits(multiply(kernel, panel, x.row(0)), {expected.begin(), expected.begin() + 16}))
            << kernels.name << " fill " << fill << " value " << value;
      }
    }
  }
}

TEST_P(MatmulOf, GivesZeroForRowsThatThePanelLacks) {
  Random random(7);
  const size_t cols = 256;
  const TestPanel panel(random, GetParam(), 3, cols);
  const TestActivations x(activation_format(GetParam()), cols, 2, random_floats(random, 2 * cols));
  for (const Kernels& kernels : kernels_here()) {
    const std::vector<float> y = multiply(matmul(kernels.table()), panel, x.view);
    for (size_t i = 0; i < y.size(); ++i) {
      if (i % 16 >= 3) {
        EXPECT_EQ(y[i], 0.0f) << kernels.name;
      }
    }
  }
}

TEST(MatmulWidened, EqualsTheF32PanelAndAccumulates) {
  Random random(8);
  for (const size_t cols : {1, 2, 15, 64, 97}) {
    const TestPanel panel(random, Type::kF32, 16, cols);
    const TestActivations x(ActivationFormat::kF32, cols, 17, random_floats(random, 17 * cols));
    const auto* floats = reinterpret_cast<const float*>(panel.panel.data());
    const std::vector<float> expected =
        multiply(kernel_table(Isa::kScalar).matmul[table_index(Type::kF32)], panel, x.view);
    expect_dot_products(panel, x, expected);
    for (const Kernels& kernels : kernels_here()) {
      for (size_t n_rows = 1; n_rows <= 17; ++n_rows) {
        Activations some = x.view;
        some.n_rows = n_rows;
        GuardedFloats y(n_rows * 16);
        kernels.table().matmul_widened(floats, cols, some, false, y.data(), 16);
        ASSERT_TRUE(same_bits(y.values(), {expected.begin(), expected.begin() + n_rows * 16}));
        kernels.table().matmul_widened(floats, cols, some, true, y.data(), 16);
        for (size_t i = 0; i < n_rows * 16; ++i) ASSERT_EQ(y[i], expected[i] + expected[i]);
        EXPECT_TRUE(y.guards_intact());
      }
    }
  }
}

TEST(Peaks, AreOfAsManyOperationsAsTheyHaveSteps) {
  for (const Kernels& kernels : kernels_here()) {
    const KernelTable& table = kernels.table();
    for (const auto peak : {table.peak_int8, table.peak_int4, table.peak_f32}) {
      EXPECT_GT(peak(1), 0u) << kernels.name;
      EXPECT_EQ(peak(3), 3 * peak(1)) << kernels.name;
    }
  }
}

TEST(AmxTable, DiffersFromAvx512InManyRowsOfQuantisedTypesOnly) {
  if (!isa_supported(Isa::kAvx2)) GTEST_SKIP() << "no twins without AVX2";
  const KernelTable &amx = amx_twin_table(), &avx512 = avx512_twin_table();
  EXPECT_EQ(amx.isa, Isa::kAmx);
  for (const TypeInfo& info : all_types()) {
    const size_t index = table_index(info.type);
    EXPECT_EQ(amx.matmul[index] != avx512.matmul[index], is_quantised(info.type)) << info.name;
    EXPECT_EQ(amx.widen[index], avx512.widen[index]) << info.name;
  }
  EXPECT_EQ(amx.matmul_widened, avx512.matmul_widened);
  EXPECT_EQ(amx.attention, avx512.attention);
}

TEST(AmxTable, LeavesNoTilesConfigured) {
  if (!isa_supported(Isa::kAvx2)) GTEST_SKIP() << "no twins without AVX2";
  const KernelTable& table = amx_twin_table();
  Random random(9);
  const TestPanel panel(random, Type::kQ4_K, 16, 256);
  const TestActivations x(ActivationFormat::kQ8x256, 256, 20, random_floats(random, 20 * 256));
  multiply(table.matmul[table_index(Type::kQ4_K)], panel, x.view);
  EXPECT_TRUE(twin_tiles_are_released());
  table.peak_int8(1);
  EXPECT_TRUE(twin_tiles_are_released());
}

TEST(ActivationFormat, FollowsTheBlocksOfTheType) {
  for (const TypeInfo& info : all_types()) {
    const ActivationFormat expected = info.block_size == 1    ? ActivationFormat::kF32
                                      : info.block_size == 32 ? ActivationFormat::kQ8x32
                                                              : ActivationFormat::kQ8x256;
    EXPECT_EQ(activation_format(info.type), expected) << info.name;
  }
}

TEST(TableIndex, IsDifferentForEveryType) {
  std::vector<bool> seen(15);
  for (const TypeInfo& info : all_types()) {
    ASSERT_LT(table_index(info.type), seen.size());
    EXPECT_FALSE(seen[table_index(info.type)]) << info.name;
    seen[table_index(info.type)] = true;
  }
}

}  // namespace
}  // namespace mixtral::cpu
