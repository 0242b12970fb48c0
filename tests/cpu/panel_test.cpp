#include "cpu/panel.h"

#include "kernel_testing.h"

namespace mixtral::cpu {
namespace {

class PanelOf : public testing::TestWithParam<Type> {
 protected:
  static std::vector<size_t> widths() {
    const size_t block = type_info(GetParam()).block_size;
    if (block == 1) return {1, 2, 3, 15, 16, 17, 97};
    return {block, 2 * block, 3 * block, 7 * block};
  }
};
INSTANTIATE_TEST_SUITE_P(AllTypes, PanelOf,
                         testing::Values(Type::kF32, Type::kF16, Type::kBF16, Type::kQ4_0,
                                         Type::kQ4_1, Type::kQ5_0, Type::kQ5_1, Type::kQ8_0,
                                         Type::kQ2_K, Type::kQ3_K, Type::kQ4_K, Type::kQ5_K,
                                         Type::kQ6_K, Type::kIQ4_NL, Type::kIQ4_XS),
                         type_test_name);

TEST_P(PanelOf, GivesBackEveryBitOfEveryRow) {
  Random random(1);
  for (const size_t cols : widths()) {
    for (const size_t n_rows : {1, 5, 16}) {
      const size_t bytes = row_bytes(GetParam(), cols), stride = bytes + 5;
      std::vector<std::byte> stored(n_rows * stride);
      for (std::byte& byte : stored) byte = static_cast<std::byte>(random());
      const AlignedBuffer panel(panel_bytes(GetParam(), cols));
      pack_panel(GetParam(), cols, stored.data(), n_rows, stride, panel.data());
      for (size_t row = 0; row < n_rows; ++row) {
        std::vector<std::byte> back(bytes + 2, std::byte{0xA5});
        unpack_panel_row(GetParam(), cols, panel.data(), row, back.data() + 1);
        EXPECT_EQ(std::memcmp(back.data() + 1, stored.data() + row * stride, bytes), 0)
            << cols << " columns, row " << row << " of " << n_rows;
        EXPECT_EQ(back.front(), std::byte{0xA5});
        EXPECT_EQ(back.back(), std::byte{0xA5});
      }
    }
  }
}

TEST_P(PanelOf, FillsItsBytesAndNoMore) {
  Random random(2);
  for (const size_t cols : widths()) {
    const size_t bytes = panel_bytes(GetParam(), cols);
    EXPECT_EQ(bytes % 64, 0u);
    EXPECT_GE(bytes, 16 * row_bytes(GetParam(), cols));
    const std::vector<std::byte> stored = random_weights(random, GetParam(), 16 * cols);
    std::vector<std::byte> panel(bytes + 64, std::byte{0x5A});
    std::vector<std::byte> again(bytes + 64, std::byte{0xFF});
    pack_panel(GetParam(), cols, stored.data(), 16, row_bytes(GetParam(), cols), panel.data());
    pack_panel(GetParam(), cols, stored.data(), 16, row_bytes(GetParam(), cols), again.data());
    EXPECT_TRUE(std::equal(panel.begin(), panel.end() - 64, again.begin()));
    for (size_t i = bytes; i < panel.size(); ++i) ASSERT_EQ(panel[i], std::byte{0x5A});
  }
}

TEST_P(PanelOf, GrowsLessThanFourPercent) {
  const size_t cols = 4096;
  EXPECT_LE(panel_bytes(GetParam(), cols) * 100, 16 * row_bytes(GetParam(), cols) * 104);
}

TEST_P(PanelOf, WidensToTheFloatsOfUnpack) {
  Random random(3);
  for (const Kernels& kernels : kernels_here()) {
    const WidenFn widen = kernels.table().widen[table_index(GetParam())];
    for (const size_t cols : widths()) {
      const TestPanel panel(random, GetParam(), 11, cols);
      const size_t block = type_info(GetParam()).block_size;
      for (const size_t first : {size_t{0}, cols > block ? block : 0}) {
        GuardedFloats out((cols - first) * 16);
        widen(panel.panel.data(), cols, first, cols - first, out.data());
        EXPECT_TRUE(out.guards_intact());
        for (size_t col = first; col < cols; ++col) {
          for (size_t row = 0; row < 16; ++row) {
            const float expected = row < 11 ? panel.weights[row * cols + col] : 0.0f;
            const float found = out[(col - first) * 16 + row];
            if (row < 11) {
              ASSERT_TRUE(same_bits({found}, {expected}))
                  << kernels.name << " column " << col << " row " << row << ": " << found
                  << " instead of " << expected;
            } else {
              ASSERT_EQ(found, expected);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace mixtral::cpu
