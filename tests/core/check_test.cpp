#include "core/check.h"

#include <gtest/gtest.h>

namespace mixtral {
namespace {

TEST(Check, AbortsNamingThePlaceTheReasonAndTheCondition) {
  MIXTRAL_CHECK(1 + 1 == 2, "arithmetic works");
  EXPECT_DEATH(MIXTRAL_CHECK(1 + 1 == 3, "sums are right"),
               "check_test.cpp:[0-9]+: broken invariant: sums are right \\(1 \\+ 1 == 3\\)");
}

}  // namespace
}  // namespace mixtral
