// Sums of codes that have a scale, and their products with it. After simd_avx512_int.h; what the
// functions mean: simd_scalar_int.h.
//
// The sums are kept so small that they fit 16 bits: their lower halves times scale are one
// instruction then, where on Intel's processors the product of 32 bits takes three. So codes of
// four and five bits are summed as if they counted from their middle, and only so many columns at a
// time. The upper halves of a sum may be anything. (simd_avx512_wide_sums.h does without.)

using Scale = I32x16;  // in the lower halves; of 8-bit codes, whose sums are too large, whole lanes

template <int Bits>
[[gnu::always_inline]] inline Scale to_scale(B16 v) {
  const I32x16 lanes = signed_lanes(v);
  return Bits == 8 ? lanes : _mm512_and_si512(lanes, set1_i32(0xFFFF));
}

template <int Bits, int Zero, bool Scaled>
constexpr int kSumZero = (Scaled && Zero == 0) && (Bits == 4 || Bits == 5) ? 1 << (Bits - 1) : Zero;
template <int Bits, int Zero, bool Scaled>
constexpr size_t kSumCols = !Scaled || Bits == 8 ? 256
                            : Bits == 6          ? 8
                            : Bits == 5          ? 16
                                                 : 32;

template <int Zero, size_t Cols>
[[gnu::always_inline]] inline SubSum start_sum(const ChunkQ8x256& x, size_t col) {
  if constexpr (Zero == 0) {
    return set1_i32(0);
  } else if constexpr (Zero == 32 && Cols == 8) {
    return broadcast_4_bytes(x.starts_8 + col / 8);
  } else if constexpr (Zero == 16 && Cols == 16) {
    return broadcast_4_bytes(x.starts_16 + col / 16);
  } else if constexpr (Zero == 8 && Cols == 32) {
    return broadcast_4_bytes(x.starts_32 + col / 32);
  } else {
    static_assert(Cols == 32);
    return add_i32(start_of_pair<Zero>(x.pairs[col / 16]),
                   start_of_pair<Zero>(x.pairs[col / 16 + 1]));
  }
}
template <int Bits>
[[gnu::always_inline]] inline I32x16 add_scaled(I32x16 total, SubSum sum, Scale scale) {
  if constexpr (Bits == 8) return add_i32(total, _mm512_mullo_epi32(sum, scale));
  total = _mm512_dpwssd_epi32(total, sum, scale);
  hide(total);
  return total;
}
