// The bytes of each block format, as GGUF files hold them (little-endian, any alignment).
//
// Words used below, for weight i of a block:
//   code     the unsigned number stored for the weight; codes.h takes all codes out of a block
//   d, dmin  scales; products are formed in float, in the order written
//   fields   byte l of each group of G bytes holds, from its low bits up, the fields of weights
//            l, l + G, l + 2G, … of the group's 8G / width weights
// The blocks of 256 weights split into sub-blocks of 16 or 32, each with a small integer scale.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mixtral {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "block fields are read in place");

/// w = d * (code - 8)
struct [[gnu::packed]] BlockQ4_0 {
  static constexpr size_t kWeights = 32;
  uint16_t d;      // F16
  uint8_t qs[16];  // 4-bit fields, G = 16
};

/// w = d * code + m
struct [[gnu::packed]] BlockQ4_1 {
  static constexpr size_t kWeights = 32;
  uint16_t d;      // F16
  uint16_t m;      // F16, the weight of code 0
  uint8_t qs[16];  // 4-bit fields, G = 16
};

/// w = d * (code - 16)
struct [[gnu::packed]] BlockQ5_0 {
  static constexpr size_t kWeights = 32;
  uint16_t d;      // F16
  uint8_t qh[4];   // bit 4 of the code: 1-bit fields, G = 1
  uint8_t qs[16];  // bits 0 to 3: 4-bit fields, G = 16
};

/// w = d * code + m
struct [[gnu::packed]] BlockQ5_1 {
  static constexpr size_t kWeights = 32;
  uint16_t d;      // F16
  uint16_t m;      // F16, the weight of code 0
  uint8_t qh[4];   // bit 4 of the code: 1-bit fields, G = 1
  uint8_t qs[16];  // bits 0 to 3: 4-bit fields, G = 16
};

/// w = qs[i] * d
struct [[gnu::packed]] BlockQ8_0 {
  static constexpr size_t kWeights = 32;
  uint16_t d;     // F16
  int8_t qs[32];  // signed, weight i at byte i
};

/// w = (d * scale) * code - (dmin * min), scale and min of sub-block i / 16
struct [[gnu::packed]] BlockQ2_K {
  static constexpr size_t kWeights = 256;
  uint8_t scales[16];  // per sub-block: low nibble scale, high nibble min
  uint8_t qs[64];      // 2-bit fields, G = 32
  uint16_t d;          // F16
  uint16_t dmin;       // F16
};

/// w = (d * scale) * (code - 4), scale of sub-block i / 16 from q3_scales()
struct [[gnu::packed]] BlockQ3_K {
  static constexpr size_t kWeights = 256;
  uint8_t hmask[32];   // bit 2 of the code: 1-bit fields, G = 32
  uint8_t qs[64];      // bits 0 and 1: 2-bit fields, G = 32
  uint8_t scales[12];  // sixteen 6-bit numbers, see q3_scales() in codes.h
  uint16_t d;          // F16
};

/// w = (d * scale) * code - (dmin * min), scale and min of sub-block i / 32 from k_scales()
struct [[gnu::packed]] BlockQ4_K {
  static constexpr size_t kWeights = 256;
  uint16_t d;          // F16
  uint16_t dmin;       // F16
  uint8_t scales[12];  // eight pairs of 6-bit numbers, see k_scales() in codes.h
  uint8_t qs[128];     // 4-bit fields, G = 32
};

/// w = (d * scale) * code - (dmin * min), scale and min of sub-block i / 32 from k_scales()
struct [[gnu::packed]] BlockQ5_K {
  static constexpr size_t kWeights = 256;
  uint16_t d;          // F16
  uint16_t dmin;       // F16
  uint8_t scales[12];  // eight pairs of 6-bit numbers, see k_scales() in codes.h
  uint8_t qh[32];      // bit 4 of the code: 1-bit fields, G = 32
  uint8_t qs[128];     // bits 0 to 3: 4-bit fields, G = 32
};

/// w = (d * scales[i / 16]) * (code - 32)
struct [[gnu::packed]] BlockQ6_K {
  static constexpr size_t kWeights = 256;
  uint8_t ql[128];    // bits 0 to 3 of the code: 4-bit fields, G = 64
  uint8_t qh[64];     // bits 4 and 5: 2-bit fields, G = 32
  int8_t scales[16];  // signed, per sub-block of 16
  uint16_t d;         // F16
};

/// w = d * kIq4Values[code]
struct [[gnu::packed]] BlockIQ4_NL {
  static constexpr size_t kWeights = 32;
  uint16_t d;      // F16
  uint8_t qs[16];  // 4-bit fields, G = 16
};

/// w = (d * scale) * kIq4Values[code], scale of sub-block i / 32 from iq4_scales()
struct [[gnu::packed]] BlockIQ4_XS {
  static constexpr size_t kWeights = 256;
  uint16_t d;           // F16
  uint16_t scales_h;    // bits 4 and 5 of scale s + 32 at bit 2s
  uint8_t scales_l[4];  // bits 0 to 3 of scale s + 32: nibble s, low nibble first
  uint8_t qs[128];      // 4-bit fields, G = 16
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34);
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockIQ4_NL) == 18 && sizeof(BlockIQ4_XS) == 136);

/// The sixteen levels of IQ4_NL and IQ4_XS, denser near zero as weights are.
inline constexpr std::array<int8_t, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace mixtral
