#include "quant/codes.h"

namespace mixtral {
namespace {

// All formats lay their bits out in the one way that blocks.h calls fields: Width bits for each
// weight, in groups of Group bytes. Shift is the fields' place within the code.
template <size_t Group, size_t Width, size_t Shift, size_t Bytes>
void add_fields(const uint8_t (&bytes)[Bytes], uint8_t* codes) {
  constexpr size_t kPerByte = 8 / Width;
  constexpr unsigned kMask = (1u << Width) - 1;
  for (size_t first = 0; first < Bytes; first += Group) {
    uint8_t* group_codes = codes + first * kPerByte;
    for (size_t part = 0; part < kPerByte; ++part) {
      for (size_t l = 0; l < Group; ++l) {
        const unsigned field = bytes[first + l] >> (part * Width) & kMask;
        uint8_t& code = group_codes[part * Group + l];
        code = static_cast<uint8_t>(Shift == 0 ? field : code | field << Shift);
      }
    }
  }
}

template <size_t Group, size_t Width, size_t Shift, size_t Bytes>
void store_fields(const uint8_t* codes, uint8_t (&bytes)[Bytes]) {
  constexpr size_t kPerByte = 8 / Width;
  constexpr unsigned kMask = (1u << Width) - 1;
  for (size_t first = 0; first < Bytes; first += Group) {
    const uint8_t* group_codes = codes + first * kPerByte;
    for (size_t l = 0; l < Group; ++l) {
      unsigned byte = 0;
      for (size_t part = 0; part < kPerByte; ++part)
        byte |= (group_codes[part * Group + l] >> Shift & kMask) << (part * Width);
      bytes[first + l] = static_cast<uint8_t>(byte);
    }
  }
}

}  // namespace

void get_codes(const BlockQ4_0& block, uint8_t* codes) { add_fields<16, 4, 0>(block.qs, codes); }
void get_codes(const BlockQ4_1& block, uint8_t* codes) { add_fields<16, 4, 0>(block.qs, codes); }
void get_codes(const BlockQ5_0& block, uint8_t* codes) {
  add_fields<16, 4, 0>(block.qs, codes);
  add_fields<1, 1, 4>(block.qh, codes);
}
void get_codes(const BlockQ5_1& block, uint8_t* codes) {
  add_fields<16, 4, 0>(block.qs, codes);
  add_fields<1, 1, 4>(block.qh, codes);
}
void get_codes(const BlockQ2_K& block, uint8_t* codes) { add_fields<32, 2, 0>(block.qs, codes); }
void get_codes(const BlockQ3_K& block, uint8_t* codes) {
  add_fields<32, 2, 0>(block.qs, codes);
  add_fields<32, 1, 2>(block.hmask, codes);
}
void get_codes(const BlockQ4_K& block, uint8_t* codes) { add_fields<32, 4, 0>(block.qs, codes); }
void get_codes(const BlockQ5_K& block, uint8_t* codes) {
  add_fields<32, 4, 0>(block.qs, codes);
  add_fields<32, 1, 4>(block.qh, codes);
}
void get_codes(const BlockQ6_K& block, uint8_t* codes) {
  add_fields<64, 4, 0>(block.ql, codes);
  add_fields<32, 2, 4>(block.qh, codes);
}
void get_codes(const BlockIQ4_NL& block, uint8_t* codes) { add_fields<16, 4, 0>(block.qs, codes); }
void get_codes(const BlockIQ4_XS& block, uint8_t* codes) { add_fields<16, 4, 0>(block.qs, codes); }

void set_codes(const uint8_t* codes, BlockQ4_0& block) { store_fields<16, 4, 0>(codes, block.qs); }
void set_codes(const uint8_t* codes, BlockQ4_1& block) { store_fields<16, 4, 0>(codes, block.qs); }
void set_codes(const uint8_t* codes, BlockQ5_0& block) {
  store_fields<16, 4, 0>(codes, block.qs);
  store_fields<1, 1, 4>(codes, block.qh);
}
void set_codes(const uint8_t* codes, BlockQ5_1& block) {
  store_fields<16, 4, 0>(codes, block.qs);
  store_fields<1, 1, 4>(codes, block.qh);
}
void set_codes(const uint8_t* codes, BlockQ2_K& block) { store_fields<32, 2, 0>(codes, block.qs); }
void set_codes(const uint8_t* codes, BlockQ3_K& block) {
  store_fields<32, 2, 0>(codes, block.qs);
  store_fields<32, 1, 2>(codes, block.hmask);
}
void set_codes(const uint8_t* codes, BlockQ4_K& block) { store_fields<32, 4, 0>(codes, block.qs); }
void set_codes(const uint8_t* codes, BlockQ5_K& block) {
  store_fields<32, 4, 0>(codes, block.qs);
  store_fields<32, 1, 4>(codes, block.qh);
}
void set_codes(const uint8_t* codes, BlockQ6_K& block) {
  store_fields<64, 4, 0>(codes, block.ql);
  store_fields<32, 2, 4>(codes, block.qh);
}
void set_codes(const uint8_t* codes, BlockIQ4_NL& block) {
  store_fields<16, 4, 0>(codes, block.qs);
}
void set_codes(const uint8_t* codes, BlockIQ4_XS& block) {
  store_fields<16, 4, 0>(codes, block.qs);
}

}  // namespace mixtral
