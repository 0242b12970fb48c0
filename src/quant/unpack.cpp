#include "quant/unpack.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "core/half.h"
#include "quant/blocks.h"
#include "quant/codes.h"

namespace mixtral {
namespace {

// Q3_K and Q6_K: sub-blocks of Sub weights, Zero the code of the weight 0.
template <size_t Sub, int Zero, class Scales, size_t Weights>
void scale_codes(float d, const Scales& scales, const uint8_t (&codes)[Weights], float* out) {
  for (size_t i = 0; i < Weights; ++i) {
    const float step = d * static_cast<float>(scales[i / Sub]);
    out[i] = step * static_cast<float>(codes[i] - Zero);
  }
}

void unpack_block(const BlockQ8_0& block, float* out) {
  const float d = f16_to_f32(block.d);
  for (size_t i = 0; i < 32; ++i) out[i] = static_cast<float>(block.qs[i]) * d;
}

// Q4_0 and Q5_0
template <int Zero, class Block>
void unpack_centred(const Block& block, float* out) {
  uint8_t codes[Block::kWeights];
  get_codes(block, codes);
  const float d = f16_to_f32(block.d);
  for (size_t i = 0; i < Block::kWeights; ++i) out[i] = d * static_cast<float>(codes[i] - Zero);
}
void unpack_block(const BlockQ4_0& block, float* out) { unpack_centred<8>(block, out); }
void unpack_block(const BlockQ5_0& block, float* out) { unpack_centred<16>(block, out); }

// Q4_1 and Q5_1
template <class Block>
void unpack_with_base(const Block& block, float* out) {
  uint8_t codes[Block::kWeights];
  get_codes(block, codes);
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (size_t i = 0; i < Block::kWeights; ++i) out[i] = d * static_cast<float>(codes[i]) + m;
}
void unpack_block(const BlockQ4_1& block, float* out) { unpack_with_base(block, out); }
void unpack_block(const BlockQ5_1& block, float* out) { unpack_with_base(block, out); }

void unpack_block(const BlockQ2_K& block, float* out) {
  uint8_t codes[256];
  get_codes(block, codes);
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (size_t i = 0; i < 256; ++i) {
    const float step = d * static_cast<float>(block.scales[i / 16] & 15);
    const float min = dmin * static_cast<float>(block.scales[i / 16] >> 4);
    out[i] = step * static_cast<float>(codes[i]) - min;
  }
}

// Q4_K and Q5_K
template <class Block>
void unpack_with_mins(const Block& block, float* out) {
  uint8_t codes[256];
  get_codes(block, codes);
  const KScales k = k_scales(block.scales);
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (size_t i = 0; i < 256; ++i) {
    const float step = d * static_cast<float>(k.scales[i / 32]);
    const float min = dmin * static_cast<float>(k.mins[i / 32]);
    out[i] = step * static_cast<float>(codes[i]) - min;
  }
}
void unpack_block(const BlockQ4_K& block, float* out) { unpack_with_mins(block, out); }
void unpack_block(const BlockQ5_K& block, float* out) { unpack_with_mins(block, out); }

void unpack_block(const BlockQ3_K& block, float* out) {
  uint8_t codes[256];
  get_codes(block, codes);
  scale_codes<16, 4>(f16_to_f32(block.d), q3_scales(block.scales), codes, out);
}

void unpack_block(const BlockQ6_K& block, float* out) {
  uint8_t codes[256];
  get_codes(block, codes);
  scale_codes<16, 32>(f16_to_f32(block.d), block.scales, codes, out);
}

void unpack_block(const BlockIQ4_NL& block, float* out) {
  uint8_t codes[32];
  get_codes(block, codes);
  const float d = f16_to_f32(block.d);
  for (size_t i = 0; i < 32; ++i) out[i] = d * static_cast<float>(kIq4Values[codes[i]]);
}

void unpack_block(const BlockIQ4_XS& block, float* out) {
  uint8_t codes[256];
  get_codes(block, codes);
  const std::array<int8_t, 8> scales = iq4_scales(block);
  const float d = f16_to_f32(block.d);
  for (size_t i = 0; i < 256; ++i) {
    const float step = d * static_cast<float>(scales[i / 32]);
    out[i] = step * static_cast<float>(kIq4Values[codes[i]]);
  }
}

template <class Block>
void unpack_blocks(const std::byte* packed, size_t n, float* out) {
  const auto* blocks = reinterpret_cast<const Block*>(packed);
  for (size_t b = 0; b < n / Block::kWeights; ++b)
    unpack_block(blocks[b], out + b * Block::kWeights);
}

uint16_t load_u16(const std::byte* bytes) {
  uint16_t value = 0;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

bool f16_finite(uint16_t h) { return (h & 0x7C00u) != 0x7C00u; }

template <class Block>
bool scales_finite(const Block& block) {
  if constexpr (requires { block.dmin; }) {
    return f16_finite(block.d) && f16_finite(block.dmin);
  } else if constexpr (requires { block.m; }) {
    return f16_finite(block.d) && f16_finite(block.m);
  } else {
    return f16_finite(block.d);
  }
}

template <class Block>
bool blocks_finite(const std::byte* packed, size_t n) {
  const auto* blocks = reinterpret_cast<const Block*>(packed);
  for (size_t b = 0; b < n / Block::kWeights; ++b) {
    if (!scales_finite(blocks[b])) return false;
  }
  return true;
}

// `exponent` masks that of a Number, whose sign is the bit above: adding the lowest bit of the mask
// carries into it if all of the exponent is set. Without a way out in the middle the loop becomes
// vectors.
template <class Number>
bool numbers_finite(const std::byte* packed, size_t n, Number exponent) {
  const auto lowest = static_cast<Number>(exponent & -exponent);
  Number carries = 0;
  for (size_t i = 0; i < n; ++i) {
    Number number = 0;
    std::memcpy(&number, packed + i * sizeof number, sizeof number);
    carries = static_cast<Number>(carries | ((number & exponent) + lowest));
  }
  return (carries & (exponent + lowest)) == 0;
}

}  // namespace

void unpack(Type type, const std::byte* packed, size_t n, float* out) {
  MIXTRAL_DCHECK(n % type_info(type).block_size == 0, "weights come in whole blocks");
  switch (type) {
    case Type::kF32:
      std::copy_n(packed, n * sizeof(float), reinterpret_cast<std::byte*>(out));
      return;
    case Type::kF16:
      for (size_t i = 0; i < n; ++i) out[i] = f16_to_f32(load_u16(packed + 2 * i));
      return;
    case Type::kBF16:
      for (size_t i = 0; i < n; ++i) out[i] = bf16_to_f32(load_u16(packed + 2 * i));
      return;
    case Type::kQ4_0: return unpack_blocks<BlockQ4_0>(packed, n, out);
    case Type::kQ4_1: return unpack_blocks<BlockQ4_1>(packed, n, out);
    case Type::kQ5_0: return unpack_blocks<BlockQ5_0>(packed, n, out);
    case Type::kQ5_1: return unpack_blocks<BlockQ5_1>(packed, n, out);
    case Type::kQ8_0: return unpack_blocks<BlockQ8_0>(packed, n, out);
    case Type::kQ2_K: return unpack_blocks<BlockQ2_K>(packed, n, out);
    case Type::kQ3_K: return unpack_blocks<BlockQ3_K>(packed, n, out);
    case Type::kQ4_K: return unpack_blocks<BlockQ4_K>(packed, n, out);
    case Type::kQ5_K: return unpack_blocks<BlockQ5_K>(packed, n, out);
    case Type::kQ6_K: return unpack_blocks<BlockQ6_K>(packed, n, out);
    case Type::kIQ4_NL: return unpack_blocks<BlockIQ4_NL>(packed, n, out);
    case Type::kIQ4_XS: return unpack_blocks<BlockIQ4_XS>(packed, n, out);
  }
}

bool all_finite(Type type, const std::byte* packed, size_t n) {
  MIXTRAL_DCHECK(n % type_info(type).block_size == 0, "weights come in whole blocks");
  switch (type) {
    case Type::kF32: return numbers_finite<uint32_t>(packed, n, 0x7F800000u);
    case Type::kF16: return numbers_finite<uint16_t>(packed, n, 0x7C00u);
    case Type::kBF16: return numbers_finite<uint16_t>(packed, n, 0x7F80u);
    case Type::kQ4_0: return blocks_finite<BlockQ4_0>(packed, n);
    case Type::kQ4_1: return blocks_finite<BlockQ4_1>(packed, n);
    case Type::kQ5_0: return blocks_finite<BlockQ5_0>(packed, n);
    case Type::kQ5_1: return blocks_finite<BlockQ5_1>(packed, n);
    case Type::kQ8_0: return blocks_finite<BlockQ8_0>(packed, n);
    case Type::kQ2_K: return blocks_finite<BlockQ2_K>(packed, n);
    case Type::kQ3_K: return blocks_finite<BlockQ3_K>(packed, n);
    case Type::kQ4_K: return blocks_finite<BlockQ4_K>(packed, n);
    case Type::kQ5_K: return blocks_finite<BlockQ5_K>(packed, n);
    case Type::kQ6_K: return blocks_finite<BlockQ6_K>(packed, n);
    case Type::kIQ4_NL: return blocks_finite<BlockIQ4_NL>(packed, n);
    case Type::kIQ4_XS: return blocks_finite<BlockIQ4_XS>(packed, n);
  }
  return false;
}

}  // namespace mixtral
