#include "quant/panel.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "core/arena.h"
#include "io/checksum.h"
#include "quant/unpack.h"

namespace mixtral {
namespace {

std::vector<std::byte> random_bytes(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(n);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

class PanelOf : public ::testing::TestWithParam<Type> {
 protected:
  static std::vector<size_t> widths() {
    const size_t block = type_info(GetParam()).block_size;
    if (block == 1) return {1, 2, 3, 15, 16, 17, 97};
    return {block, 2 * block, 3 * block, 7 * block};
  }
};
INSTANTIATE_TEST_SUITE_P(AllTypes, PanelOf,
                         ::testing::Values(Type::kF32, Type::kF16, Type::kBF16, Type::kQ4_0,
                                           Type::kQ4_1, Type::kQ5_0, Type::kQ5_1, Type::kQ8_0,
                                           Type::kQ2_K, Type::kQ3_K, Type::kQ4_K, Type::kQ5_K,
                                           Type::kQ6_K, Type::kIQ4_NL, Type::kIQ4_XS),
                         [](const auto& type) { return std::string(type_name(type.param)); });

TEST_P(PanelOf, GivesBackEveryBitOfEveryRow) {
  for (const size_t cols : widths()) {
    for (const size_t n_rows : {size_t{1}, size_t{5}, size_t{16}}) {
      const size_t bytes = row_bytes(GetParam(), cols), stride = bytes + 5;
      const std::vector<std::byte> stored = random_bytes(n_rows * stride, 1);
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
  for (const size_t cols : widths()) {
    const size_t bytes = panel_bytes(GetParam(), cols);
    EXPECT_EQ(bytes % 64, 0u);
    EXPECT_GE(bytes, 16 * row_bytes(GetParam(), cols));
    const std::vector<std::byte> stored = random_bytes(16 * row_bytes(GetParam(), cols), 2);
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

// Packed models hold these bytes. If this fails on purpose, kPackedVersion must go up.
TEST_P(PanelOf, HasTheBytesThatPackedModelsHold) {
  const std::map<Type, uint64_t> expected = {
      {Type::kF32, 0x28e59e0f218f9384},    {Type::kF16, 0xf2ef00acc0bd9dda},
      {Type::kBF16, 0x09035e31122c58cf},   {Type::kQ4_0, 0x1be29379bb887b43},
      {Type::kQ4_1, 0x9375b54c6ce96879},   {Type::kQ5_0, 0x993e467383b1d08f},
      {Type::kQ5_1, 0x1863be1cb5775aa0},   {Type::kQ8_0, 0x471b7815f0bc523f},
      {Type::kQ2_K, 0xc76ecc25baac6c0d},   {Type::kQ3_K, 0x2ff20b077ff3860b},
      {Type::kQ4_K, 0x3776ba3e4163b2db},   {Type::kQ5_K, 0x245e8fda83586587},
      {Type::kQ6_K, 0x2fed29dd85b6b09c},   {Type::kIQ4_NL, 0x1be29379bb887b43},
      {Type::kIQ4_XS, 0x01254736f58fda2a},
  };
  const size_t cols = type_info(GetParam()).block_size == 1 ? 97 : 1792, n_rows = 13;
  const size_t stride = row_bytes(GetParam(), cols);
  const std::vector<std::byte> stored = random_bytes(n_rows * stride, 3);
  std::vector<std::byte> panel(panel_bytes(GetParam(), cols));
  pack_panel(GetParam(), cols, stored.data(), n_rows, stride, panel.data());
  Checksum checksum;
  checksum.add(panel);
  EXPECT_EQ(checksum.value(), expected.at(GetParam())) << fmt::format("{:#018x}", checksum.value());
}

TEST_P(PanelOf, IsFiniteIfItsRowsAre) {
  const size_t cols = std::max<size_t>(8, type_info(GetParam()).block_size), n_rows = 13;
  const size_t stride = row_bytes(GetParam(), cols);
  std::vector<std::byte> panel(panel_bytes(GetParam(), cols));
  size_t n_finite = 0;
  for (uint32_t seed = 0; seed < 300; ++seed) {
    const std::vector<std::byte> stored = random_bytes(n_rows * stride, seed);
    pack_panel(GetParam(), cols, stored.data(), n_rows, stride, panel.data());
    const bool expected = all_finite(GetParam(), stored.data(), n_rows * cols);
    EXPECT_EQ(panel_finite(GetParam(), cols, panel.data()), expected) << "seed " << seed;
    n_finite += expected ? 1 : 0;
  }
  EXPECT_GT(n_finite, 0u);
  EXPECT_LT(n_finite, 300u);
}

}  // namespace
}  // namespace mixtral
