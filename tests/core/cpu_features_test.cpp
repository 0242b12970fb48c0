#include "core/cpu_features.h"

#include <gtest/gtest.h>

namespace mixtral {
namespace {

constexpr Isa kAll[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx};

TEST(Isa, HasANameThatLeadsBackToIt) {
  for (const Isa isa : kAll) EXPECT_EQ(isa_from_name(isa_name(isa)), isa);
  EXPECT_EQ(isa_name(Isa::kAvx512), "avx512");
  EXPECT_EQ(isa_from_name("AVX2"), std::nullopt);
  EXPECT_EQ(isa_from_name(""), std::nullopt);
}

TEST(Isa, SupportsAllBelowTheBestAndNoneAbove) {
  const Isa best = best_isa();
  EXPECT_TRUE(isa_supported(Isa::kScalar));
  for (const Isa isa : kAll) EXPECT_EQ(isa_supported(isa), isa <= best) << isa_name(isa);
}

TEST(CpuModelName, IsTrimmedAndNotEmpty) {
  const std::string name = cpu_model_name();
  ASSERT_FALSE(name.empty());
  EXPECT_NE(name.front(), ' ');
  EXPECT_NE(name.back(), ' ');
  EXPECT_EQ(name.find('\0'), std::string::npos);
}

}  // namespace
}  // namespace mixtral
