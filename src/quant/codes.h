// The packed numbers of a block, taken out and put back: codes, one byte for each weight in the
// order of the weights, and the small scales of sub-blocks. What they mean stands at each block in
// blocks.h. (Q8_0 stores its numbers plainly and needs no help.)
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "quant/blocks.h"

namespace mixtral {

/// Writes the Block::kWeights codes of `block`.
void get_codes(const BlockQ4_0& block, uint8_t* codes);
void get_codes(const BlockQ4_1& block, uint8_t* codes);
void get_codes(const BlockQ5_0& block, uint8_t* codes);
void get_codes(const BlockQ5_1& block, uint8_t* codes);
void get_codes(const BlockQ2_K& block, uint8_t* codes);
void get_codes(const BlockQ3_K& block, uint8_t* codes);
void get_codes(const BlockQ4_K& block, uint8_t* codes);
void get_codes(const BlockQ5_K& block, uint8_t* codes);
void get_codes(const BlockQ6_K& block, uint8_t* codes);
void get_codes(const BlockIQ4_NL& block, uint8_t* codes);
void get_codes(const BlockIQ4_XS& block, uint8_t* codes);

/// Stores Block::kWeights codes, each within the format's bits; the scales stay as they are.
void set_codes(const uint8_t* codes, BlockQ4_0& block);
void set_codes(const uint8_t* codes, BlockQ4_1& block);
void set_codes(const uint8_t* codes, BlockQ5_0& block);
void set_codes(const uint8_t* codes, BlockQ5_1& block);
void set_codes(const uint8_t* codes, BlockQ2_K& block);
void set_codes(const uint8_t* codes, BlockQ3_K& block);
void set_codes(const uint8_t* codes, BlockQ4_K& block);
void set_codes(const uint8_t* codes, BlockQ5_K& block);
void set_codes(const uint8_t* codes, BlockQ6_K& block);
void set_codes(const uint8_t* codes, BlockIQ4_NL& block);
void set_codes(const uint8_t* codes, BlockIQ4_XS& block);

/// Scales and mins of a Q4_K or Q5_K block's eight sub-blocks, each in [0, 63].
struct KScales {
  std::array<uint8_t, 8> scales, mins;
};

// Sub-blocks 0 to 3 own six whole bits: byte s the scale, byte 4 + s the min. Sub-blocks 4 to 7
// share byte 4 + s, scale in the low nibble and min in the high one, and keep their top two bits
// in the top of bytes s - 4 (scale) and s (min).
constexpr KScales k_scales(const uint8_t (&packed)[12]) {
  KScales out{};
  for (size_t s = 0; s < 4; ++s) {
    out.scales[s] = packed[s] & 63;
    out.mins[s] = packed[4 + s] & 63;
    out.scales[4 + s] = static_cast<uint8_t>((packed[8 + s] & 15) | (packed[s] >> 6 << 4));
    out.mins[4 + s] = static_cast<uint8_t>((packed[8 + s] >> 4) | (packed[4 + s] >> 6 << 4));
  }
  return out;
}

/// The inverse of k_scales().
constexpr void set_k_scales(const KScales& in, uint8_t (&packed)[12]) {
  for (size_t s = 0; s < 4; ++s) {
    packed[s] = static_cast<uint8_t>(in.scales[s] | (in.scales[4 + s] >> 4 << 6));
    packed[4 + s] = static_cast<uint8_t>(in.mins[s] | (in.mins[4 + s] >> 4 << 6));
    packed[8 + s] = static_cast<uint8_t>((in.scales[4 + s] & 15) | ((in.mins[4 + s] & 15) << 4));
  }
}

/// Scales of a Q3_K block's sixteen sub-blocks, each in [-32, 31], stored plus 32: bits 0 to 3 as
/// 4-bit fields of bytes 0 to 7 (G = 8), bits 4 and 5 as 2-bit fields of bytes 8 to 11 (G = 4).
constexpr std::array<int8_t, 16> q3_scales(const uint8_t (&packed)[12]) {
  std::array<int8_t, 16> out{};
  for (size_t s = 0; s < 16; ++s) {
    const int low = packed[s % 8] >> (s / 8 * 4) & 15;
    const int high = packed[8 + s % 4] >> (s / 4 * 2) & 3;
    out[s] = static_cast<int8_t>((low | high << 4) - 32);
  }
  return out;
}

/// The inverse of q3_scales().
constexpr void set_q3_scales(const std::array<int8_t, 16>& in, uint8_t (&packed)[12]) {
  std::fill_n(packed, 12, uint8_t{0});
  for (size_t s = 0; s < 16; ++s) {
    const auto code = static_cast<unsigned>(in[s] + 32);
    packed[s % 8] = static_cast<uint8_t>(packed[s % 8] | (code & 15) << (s / 8 * 4));
    packed[8 + s % 4] = static_cast<uint8_t>(packed[8 + s % 4] | code >> 4 << (s / 4 * 2));
  }
}

/// Scales of an IQ4_XS block's eight sub-blocks, each in [-32, 31].
constexpr std::array<int8_t, 8> iq4_scales(const BlockIQ4_XS& block) {
  std::array<int8_t, 8> out{};
  for (size_t s = 0; s < 8; ++s) {
    const int low = block.scales_l[s / 2] >> (s % 2 * 4) & 15;
    out[s] = static_cast<int8_t>((low | (block.scales_h >> (s * 2) & 3) << 4) - 32);
  }
  return out;
}

/// The inverse of iq4_scales().
constexpr void set_iq4_scales(const std::array<int8_t, 8>& in, BlockIQ4_XS& block) {
  block.scales_h = 0;
  std::fill_n(block.scales_l, 4, uint8_t{0});
  for (size_t s = 0; s < 8; ++s) {
    const auto code = static_cast<unsigned>(in[s] + 32);
    block.scales_h = static_cast<uint16_t>(block.scales_h | code >> 4 << (s * 2));
    uint8_t& low = block.scales_l[s / 2];
    low = static_cast<uint8_t>(low | (code & 15) << (s % 2 * 4));
  }
}

}  // namespace mixtral
