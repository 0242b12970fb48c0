#include "core/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace mixtral {
namespace {

Result<int> half_of(int n) {
  if (n % 2 != 0) return fail(ErrorCode::kBadInput, "{} is odd", n);
  return n / 2;
}

Status require_positive(int n) {
  if (n <= 0) return fail(ErrorCode::kTooLarge, "{} is not positive", n);
  return {};
}

Result<int> quarter_of(int n) {
  MIXTRAL_TRY(require_positive(n));
  MIXTRAL_TRY(const int half, half_of(n));
  MIXTRAL_TRY(const int quarter, half_of(half));
  return quarter;
}

Result<std::unique_ptr<int>> boxed(int n) { return std::make_unique<int>(n); }

Result<std::unique_ptr<int>> passed_on(int n) {
  MIXTRAL_TRY(std::unique_ptr<int> box, boxed(n));
  ++*box;
  return box;
}

TEST(Result, HoldsAValueOrAnError) {
  EXPECT_EQ(half_of(4), 2);
  const Result<int> failed = half_of(3);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kBadInput);
  EXPECT_EQ(failed.error().message, "3 is odd");
}

TEST(Try, BindsTheValueAndGoesOn) { EXPECT_EQ(quarter_of(12), 3); }

TEST(Try, LeavesWithTheFirstError) {
  EXPECT_EQ(quarter_of(3).error().message, "3 is odd");
  EXPECT_EQ(quarter_of(6).error().message, "3 is odd");
  EXPECT_EQ(quarter_of(-4).error().message, "-4 is not positive");
  EXPECT_EQ(quarter_of(-4).error().code, ErrorCode::kTooLarge);
}

TEST(Try, MovesValuesThatCannotBeCopied) {
  const auto box = passed_on(6);
  ASSERT_TRUE(box);
  EXPECT_EQ(**box, 7);
}

TEST(WithContext, PutsThePlaceBeforeTheMessage) {
  const Result<int> failed = with_context(half_of(5).error(), "model.gguf");
  EXPECT_EQ(failed.error().message, "model.gguf: 5 is odd");
  EXPECT_EQ(failed.error().code, ErrorCode::kBadInput);
}

}  // namespace
}  // namespace mixtral
