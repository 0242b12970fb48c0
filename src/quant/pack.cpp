#include "quant/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "core/half.h"
#include "quant/blocks.h"
#include "quant/pack_block.h"

namespace mixtral {
namespace {

// F16 scales end near 2^16 and integers near 2^12: larger weights saturate anyway, and sums of
// their squares must stay floats.
constexpr float kLargest = 0x1p40f;
// Half of the smallest F16: a block of nothing larger is a block of zeros.
constexpr float kSmallest = 0x1p-26f;
// Weights that do not matter at all still get a sensible code: the least part of the mean weight.
constexpr float kLeastImportance = 1e-6f;

// Scales importance to a mean of 1 over the block, so that its unit does not matter.
void normalise(const float* importance, size_t n, float* w) {
  double sum = 0;
  for (size_t i = 0; importance != nullptr && i < n; ++i) sum += static_cast<double>(importance[i]);
  if (!(sum > 0)) {
    std::fill_n(w, n, 1.0f);
    return;
  }
  const double mean = sum / static_cast<double>(n);
  for (size_t i = 0; i < n; ++i)
    w[i] = static_cast<float>(static_cast<double>(importance[i]) / mean) + kLeastImportance;
}

template <class Block>
void pack_blocks(const float* values, size_t n, const float* importance, std::byte* packed) {
  constexpr size_t kWeights = Block::kWeights;
  float x[kWeights], w[kWeights];
  for (size_t first = 0; first < n; first += kWeights) {
    float largest = 0;
    for (size_t i = 0; i < kWeights; ++i) {
      x[i] = std::clamp(values[first + i], -kLargest, kLargest);
      largest = std::max(largest, std::abs(x[i]));
    }
    if (largest < kSmallest) std::fill_n(x, kWeights, 0.0f);
    normalise(importance != nullptr ? importance + first : nullptr, kWeights, w);
    Block block{};
    internal::pack_block(x, w, block);
    std::memcpy(packed + first / kWeights * sizeof(Block), &block, sizeof(block));
  }
}

template <uint16_t (*Round)(float)>
void pack_halves(const float* values, size_t n, std::byte* packed) {
  for (size_t i = 0; i < n; ++i) {
    const uint16_t half = Round(values[i]);
    std::memcpy(packed + 2 * i, &half, sizeof(half));
  }
}

}  // namespace

void pack(Type type, const float* values, size_t n, const float* importance, std::byte* packed) {
  MIXTRAL_CHECK(n % type_info(type).block_size == 0, "weights come in whole blocks");
  switch (type) {
    case Type::kF32:
      std::copy_n(reinterpret_cast<const std::byte*>(values), n * sizeof(float), packed);
      return;
    case Type::kF16: return pack_halves<f32_to_f16>(values, n, packed);
    case Type::kBF16: return pack_halves<f32_to_bf16>(values, n, packed);
    case Type::kQ4_0: return pack_blocks<BlockQ4_0>(values, n, importance, packed);
    case Type::kQ4_1: return pack_blocks<BlockQ4_1>(values, n, importance, packed);
    case Type::kQ5_0: return pack_blocks<BlockQ5_0>(values, n, importance, packed);
    case Type::kQ5_1: return pack_blocks<BlockQ5_1>(values, n, importance, packed);
    case Type::kQ8_0: return pack_blocks<BlockQ8_0>(values, n, importance, packed);
    case Type::kQ2_K: return pack_blocks<BlockQ2_K>(values, n, importance, packed);
    case Type::kQ3_K: return pack_blocks<BlockQ3_K>(values, n, importance, packed);
    case Type::kQ4_K: return pack_blocks<BlockQ4_K>(values, n, importance, packed);
    case Type::kQ5_K: return pack_blocks<BlockQ5_K>(values, n, importance, packed);
    case Type::kQ6_K: return pack_blocks<BlockQ6_K>(values, n, importance, packed);
    case Type::kIQ4_NL: return pack_blocks<BlockIQ4_NL>(values, n, importance, packed);
    case Type::kIQ4_XS: return pack_blocks<BlockIQ4_XS>(values, n, importance, packed);
  }
}

}  // namespace mixtral
