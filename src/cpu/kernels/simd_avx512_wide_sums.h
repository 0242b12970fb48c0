// As simd_avx512_sums.h, for processors where products of 32 bits are one instruction as others
// are: a sum is of all columns of its scale, in whole lanes, of codes as they are.

using Scale = I32x16;

template <int Bits>
[[gnu::always_inline]] inline Scale to_scale(B16 v) {
  return signed_lanes(v);
}

template <int Bits, int Zero, bool Scaled>
constexpr int kSumZero = Zero;
template <int Bits, int Zero, bool Scaled>
constexpr size_t kSumCols = 256;

template <int Zero, size_t Cols>
[[gnu::always_inline]] inline SubSum start_sum(const ChunkQ8x256& x, size_t col) {
  static_assert(Zero == 0 || (Zero == 32 && Cols == 16));
  return Zero == 0 ? set1_i32(0) : broadcast_4_bytes(x.starts_from_32 + col / 16);
}
template <int Bits>
[[gnu::always_inline]] inline I32x16 add_scaled(I32x16 total, SubSum sum, Scale scale) {
  return add_i32(total, _mm512_mullo_epi32(sum, scale));
}
