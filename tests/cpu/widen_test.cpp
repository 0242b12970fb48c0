#include "kernel_testing.h"

namespace mixtral::cpu {
namespace {

std::vector<size_t> widths(Type type) {
  const size_t block = type_info(type).block_size;
  if (block == 1) return {1, 2, 3, 15, 16, 17, 97};
  return {block, 2 * block, 3 * block, 7 * block};
}

class Widen : public testing::TestWithParam<Type> {};
INSTANTIATE_TEST_SUITE_P(AllTypes, Widen,
                         testing::Values(Type::kF32, Type::kF16, Type::kBF16, Type::kQ4_0,
                                         Type::kQ4_1, Type::kQ5_0, Type::kQ5_1, Type::kQ8_0,
                                         Type::kQ2_K, Type::kQ3_K, Type::kQ4_K, Type::kQ5_K,
                                         Type::kQ6_K, Type::kIQ4_NL, Type::kIQ4_XS),
                         type_test_name);

TEST_P(Widen, GivesTheFloatsOfUnpack) {
  Random random(3);
  for (const Kernels& kernels : kernels_here()) {
    const WidenFn widen = kernels.table().widen[table_index(GetParam())];
    for (const size_t cols : widths(GetParam())) {
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
