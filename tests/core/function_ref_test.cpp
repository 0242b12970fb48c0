#include "core/function_ref.h"

#include <gtest/gtest.h>

#include <memory>

namespace mixtral {
namespace {

int apply(FunctionRef<int(int)> function, int argument) { return function(argument); }

TEST(FunctionRef, CallsWhatItRefersTo) {
  int calls = 0;
  auto counting = [&calls](int n) {
    ++calls;
    return n + 1;
  };
  EXPECT_EQ(apply(counting, 4), 5);
  EXPECT_EQ(apply([](int n) { return -n; }, 4), -4);
  const auto constant = [](int) { return 7; };
  EXPECT_EQ(apply(constant, 0), 7);
  EXPECT_EQ(calls, 1);
}

TEST(FunctionRef, ChangesTheCallableItselfNotACopy) {
  auto growing = [total = 0](int n) mutable { return total += n; };
  EXPECT_EQ(apply(growing, 2), 2);
  EXPECT_EQ(apply(growing, 3), 5);
  const FunctionRef<int(int)> first(growing);
  const FunctionRef<int(int)> copy = first;
  EXPECT_EQ(copy(1), 6);
}

TEST(FunctionRef, PassesReferencesAndMovesArguments) {
  int target = 0;
  const auto assign = [](int& out, std::unique_ptr<int> in) { out = *in; };
  const FunctionRef<void(int&, std::unique_ptr<int>)> function(assign);
  function(target, std::make_unique<int>(9));
  EXPECT_EQ(target, 9);
}

}  // namespace
}  // namespace mixtral
