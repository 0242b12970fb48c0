#include "quant/unpack.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <limits>

#include "support/golden.h"
#include "vectors.h"

namespace mixtral {
namespace {

using testing::QuantVector;
using testing::read_vectors;

TEST(Unpack, GivesTheSameBitsAsGgufPyAtAnyAlignment) {
  MIXTRAL_FIND_GOLDEN(path, "quant/blocks.bin");
  const std::vector<QuantVector> vectors = read_vectors(path);
  ASSERT_EQ(vectors.size(), all_types().size());
  for (const QuantVector& vector : vectors) {
    for (const size_t offset : {0u, 1u, 3u}) {
      std::vector<std::byte> shifted(offset);
      shifted.insert(shifted.end(), vector.packed.begin(), vector.packed.end());
      std::vector<float> out(vector.floats.size() + 1, -77.0f);
      unpack(vector.type, shifted.data() + offset, vector.floats.size(), out.data());
      EXPECT_EQ(out.back(), -77.0f) << "wrote past the end";
      for (size_t i = 0; i < vector.floats.size(); ++i) {
        ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(vector.floats[i]))
            << type_name(vector.type) << " weight " << i << ": " << out[i] << " instead of "
            << vector.floats[i];
      }
    }
  }
}

TEST(Unpack, AcceptsNoWeightsAtAll) {
  for (const TypeInfo& info : all_types()) unpack(info.type, nullptr, 0, nullptr);
}

TEST(AllFinite, IsTrueForTheReferenceBlocks) {
  MIXTRAL_FIND_GOLDEN(path, "quant/blocks.bin");
  for (const QuantVector& vector : read_vectors(path))
    EXPECT_TRUE(all_finite(vector.type, vector.packed.data(), vector.floats.size()))
        << type_name(vector.type);
}

// Sets the 16 bits at `offset` of the last of three blocks to each pattern that is not finite.
void expect_found(Type type, size_t offset, std::initializer_list<uint16_t> patterns) {
  const TypeInfo& info = type_info(type);
  for (const uint16_t pattern : patterns) {
    std::vector<std::byte> packed(3 * info.block_bytes);
    EXPECT_TRUE(all_finite(type, packed.data(), 3 * info.block_size)) << info.name;
    std::memcpy(packed.data() + 2 * info.block_bytes + offset, &pattern, sizeof(pattern));
    EXPECT_FALSE(all_finite(type, packed.data(), 3 * info.block_size))
        << info.name << " offset " << offset << " pattern " << pattern;
    EXPECT_TRUE(all_finite(type, packed.data(), 2 * info.block_size)) << info.name;
  }
}

TEST(AllFinite, FindsInfinityAndNanInFloats) {
  expect_found(Type::kF32, 2, {0x7F80, 0xFF80, 0x7FC0, 0x7F81});
  expect_found(Type::kBF16, 0, {0x7F80, 0xFF80, 0x7FC0, 0x7F81});
  expect_found(Type::kF16, 0, {0x7C00, 0xFC00, 0x7E00, 0x7C01});
}

TEST(AllFinite, FindsInfinityAndNanInEveryScale) {
  struct Scale {
    Type type;
    size_t offset;
  };
  for (const auto& [type, offset] :
       {Scale{Type::kQ4_0, 0}, Scale{Type::kQ4_1, 0}, Scale{Type::kQ4_1, 2}, Scale{Type::kQ5_0, 0},
        Scale{Type::kQ5_1, 0}, Scale{Type::kQ5_1, 2}, Scale{Type::kQ8_0, 0}, Scale{Type::kQ2_K, 80},
        Scale{Type::kQ2_K, 82}, Scale{Type::kQ3_K, 108}, Scale{Type::kQ4_K, 0},
        Scale{Type::kQ4_K, 2}, Scale{Type::kQ5_K, 0}, Scale{Type::kQ5_K, 2},
        Scale{Type::kQ6_K, 208}, Scale{Type::kIQ4_NL, 0}, Scale{Type::kIQ4_XS, 0}})
    expect_found(type, offset, {0x7C00, 0xFC00, 0x7E00, 0xFC01});
}

TEST(AllFinite, AcceptsTheLargestFloats) {
  const float values[] = {std::numeric_limits<float>::max(), -std::numeric_limits<float>::max(),
                          std::numeric_limits<float>::denorm_min()};
  EXPECT_TRUE(all_finite(Type::kF32, reinterpret_cast<const std::byte*>(values), 3));
}

}  // namespace
}  // namespace mixtral
