#include "core/tensor_view.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

namespace mixtral {
namespace {

TEST(TensorView, FindsRowsByTheirStride) {
  std::array<int, 12> data;
  std::iota(data.begin(), data.end(), 0);
  const TensorView<int> packed(data.data(), 3, 4);
  EXPECT_EQ(packed.row(2)[1], 9);
  EXPECT_EQ(packed.stride(), 4u);
  const TensorView<const int> columns = TensorView<int>(data.data() + 1, 3, 2, 4);
  EXPECT_EQ(columns.row(2)[1], 10);
  EXPECT_EQ(columns.row_span(1).size(), 2u);
  EXPECT_EQ(columns.row_span(1)[0], 5);
}

TEST(TensorView, TakesSomeOfItsRows) {
  std::array<int, 12> data{};
  const TensorView<int> part = TensorView<int>(data.data(), 3, 2, 4).rows_from(1, 2);
  EXPECT_EQ(part.data(), data.data() + 4);
  EXPECT_EQ(part.rows(), 2u);
  EXPECT_EQ(part.cols(), 2u);
  EXPECT_EQ(part.stride(), 4u);
}

TEST(TensorView, IsEmptyWithoutRowsOrColumns) {
  int value = 0;
  EXPECT_TRUE(TensorView<int>().empty());
  EXPECT_TRUE(TensorView<int>(&value, 0, 4).empty());
  EXPECT_TRUE(TensorView<int>(&value, 4, 0).empty());
  EXPECT_FALSE(TensorView<int>(&value, 1, 1).empty());
}

}  // namespace
}  // namespace mixtral
