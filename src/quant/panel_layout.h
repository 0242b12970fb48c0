// Where the parts of a quantised panel lie. A panel of B blocks is
//
//   [B bodies][B heads][zeros up to a multiple of 64 bytes]
//   body = [high plane][low plane][scale vectors]     a multiple of 64 bytes
//   head = 1 or 2 vectors of 16 F16 numbers: d of each row, then m or dmin
//
// A plane holds a byte array of the block (blocks.h) of all 16 rows: its n-th group of four bytes
// becomes the n-th 64-byte unit, whose 32-bit lane r is row r's group. What a unit loads is then an
// operand of the dot-product instruction: four columns of sixteen rows. Scale vectors hold one byte
// per row: the small integers of a sub-block.
//
// Memory gives most to those who read it in order. So a high plane of which all columns need every
// unit comes first, and the planes of Q6_K, of which one half of the columns needs one half each,
// are cut: [half of high][half of low][half of high][half of low].
#pragma once

#include <cstddef>

#include "quant/type.h"

namespace mixtral {

/// Output rows of a panel: one per lane of a 16-lane vector.
inline constexpr size_t kPanelRows = 16;

struct PanelLayout {
  size_t block_cols;
  size_t low_bytes;   ///< per row: qs or ql. Q8_0: with the sign bit flipped, so unsigned
  size_t high_bytes;  ///< per row: qh or hmask. Q5_0, Q5_1: bit j of byte i is bit 4 of code 4j + i
  size_t n_scales;    ///< vectors: Q4_K, Q5_K 8 scales, then 8 mins; Q2_K scale and min in one byte
  size_t n_heads;
  size_t n_parts = 1;  ///< into so many the planes are cut

  constexpr size_t part_bytes() const { return 16 * (low_bytes + high_bytes) / n_parts; }
  /// Of a 64-byte unit of a plane.
  constexpr size_t high_offset(size_t unit) const { return offset_in_part(unit, high_bytes); }
  constexpr size_t low_offset(size_t unit) const {
    return 16 * high_bytes / n_parts + offset_in_part(unit, low_bytes);
  }
  constexpr size_t offset_in_part(size_t unit, size_t plane_bytes) const {
    if (n_parts == 1) return 64 * unit;
    const size_t units = plane_bytes / 4 / n_parts;
    return unit / units * part_bytes() + unit % units * 64;
  }
  constexpr size_t scales_offset() const { return 16 * (low_bytes + high_bytes); }
  constexpr size_t body_bytes() const { return 16 * (low_bytes + high_bytes + n_scales); }
  constexpr size_t head_bytes() const { return 32 * n_heads; }
};

/// The layout of a type made of blocks.
constexpr PanelLayout panel_layout(Type type) {
  switch (type) {
    case Type::kQ4_0: return {32, 16, 0, 0, 1};
    case Type::kQ4_1: return {32, 16, 0, 0, 2};
    case Type::kQ5_0: return {32, 16, 4, 0, 1};
    case Type::kQ5_1: return {32, 16, 4, 0, 2};
    case Type::kQ8_0: return {32, 32, 0, 0, 1};
    case Type::kQ2_K: return {256, 64, 0, 16, 2};
    case Type::kQ3_K: return {256, 64, 32, 16, 1};
    case Type::kQ4_K: return {256, 128, 0, 16, 2};
    case Type::kQ5_K: return {256, 128, 32, 16, 2};
    case Type::kQ6_K: return {256, 128, 64, 16, 1, 2};
    case Type::kIQ4_NL: return {32, 16, 0, 0, 1};
    case Type::kIQ4_XS: return {256, 128, 0, 8, 1};
    case Type::kF32:
    case Type::kF16:
    case Type::kBF16: break;
  }
  return {};
}

}  // namespace mixtral
