// 16 integers or 64 bytes in two AVX2 registers; see simd_avx2_float.h. What the functions mean:
// simd_scalar_int.h.

constexpr bool kSignedBytes = true;

struct I32x16 {
  __m256i low, high;
};
using U8x64 = I32x16;

[[gnu::always_inline]] inline I32x16 set1_i32(int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
[[gnu::always_inline]] inline I32x16 add_i32(I32x16 a, I32x16 b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
[[gnu::always_inline]] inline I32x16 sub_i32(I32x16 a, I32x16 b) {
  return {_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 to_f32(I32x16 a) {
  return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)};
}
[[gnu::always_inline]] inline I32x16 bits_of(F32x16 a) {
  return {_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)};
}
[[gnu::always_inline]] inline __m256 power_of_2(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
[[gnu::always_inline]] inline F32x16 times_power_of_2(F32x16 x, F32x16 n) {
  const __m256i low = _mm256_cvtps_epi32(n.low), high = _mm256_cvtps_epi32(n.high);
  const __m256i half_low = _mm256_srai_epi32(low, 1), half_high = _mm256_srai_epi32(high, 1);
  x = mul(x, {power_of_2(half_low), power_of_2(half_high)});
  return mul(x, {power_of_2(_mm256_sub_epi32(low, half_low)),
                 power_of_2(_mm256_sub_epi32(high, half_high))});
}
[[gnu::always_inline]] inline void store_i8(int8_t* to, I32x16 v) {
  // Within every 128 bits the four low bytes go to the front; then the four parts are put in order.
  const __m256i pick = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  const __m256i low = _mm256_shuffle_epi8(v.low, pick), high = _mm256_shuffle_epi8(v.high, pick);
  const __m256i both = _mm256_unpacklo_epi32(low, high);  // parts 0, 2 | 1, 3
  const __m128i bytes =
      _mm_unpacklo_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}
using B16 = __m128i;

[[gnu::always_inline]] inline B16 load_16(const uint8_t* from) { return load_16_bytes(from); }
template <int From>
[[gnu::always_inline]] inline B16 nibbles(B16 v) {
  return _mm_and_si128(_mm_srli_epi16(v, From), _mm_set1_epi8(15));
}
[[gnu::always_inline]] inline I32x16 signed_lanes(B16 v) {
  return {_mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_srli_si128(v, 8))};
}
[[gnu::always_inline]] inline I32x16 pairs_of(B16 even, B16 odd) {
  return {_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(even, odd)),
          _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(even, odd))};
}
[[gnu::always_inline]] inline __m256i broadcast_4_bytes(const void* from) {
  int32_t word = 0;
  std::memcpy(&word, from, sizeof(word));
  return _mm256_set1_epi32(word);
}
[[gnu::always_inline]] inline I32x16 dot_i16(I32x16 acc, I32x16 pairs, const int16_t* factors) {
  const __m256i both = broadcast_4_bytes(factors);
  return add_i32(acc, {_mm256_madd_epi16(pairs.low, both), _mm256_madd_epi16(pairs.high, both)});
}

[[gnu::always_inline]] inline U8x64 load_bytes(const uint8_t* from) {
  const auto* halves = reinterpret_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}
[[gnu::always_inline]] inline U8x64 xor_bytes(U8x64 v, uint8_t mask) {
  const __m256i bits = _mm256_set1_epi8(static_cast<char>(mask));
  return {_mm256_xor_si256(v.low, bits), _mm256_xor_si256(v.high, bits)};
}
[[gnu::always_inline]] inline U8x64 or_bytes(U8x64 a, U8x64 b) {
  return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
template <int From, int Width, int To>
[[gnu::always_inline]] inline __m256i field_of_half(__m256i v) {
  if constexpr (From > To) v = _mm256_srli_epi16(v, From - To);
  if constexpr (From < To) v = _mm256_slli_epi16(v, To - From);
  return _mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(((1 << Width) - 1) << To)));
}
template <int From, int Width, int To>
[[gnu::always_inline]] inline U8x64 field(U8x64 v) {
  return {field_of_half<From, Width, To>(v.low), field_of_half<From, Width, To>(v.high)};
}
[[gnu::always_inline]] inline U8x64 lookup(const uint8_t (&table)[16], U8x64 v) {
  const __m256i bytes = _mm256_broadcastsi128_si256(load_16_bytes(table));
  return {_mm256_shuffle_epi8(bytes, v.low), _mm256_shuffle_epi8(bytes, v.high)};
}
template <int B>
[[gnu::always_inline]] inline I32x16 byte_of(U8x64 v) {
  return {_mm256_srli_epi32(_mm256_slli_epi32(v.low, 24 - 8 * B), 24),
          _mm256_srli_epi32(_mm256_slli_epi32(v.high, 24 - 8 * B), 24)};
}
template <int B>
[[gnu::always_inline]] inline I32x16 signed_byte_of(U8x64 v) {
  return {_mm256_srai_epi32(_mm256_slli_epi32(v.low, 24 - 8 * B), 24),
          _mm256_srai_epi32(_mm256_slli_epi32(v.high, 24 - 8 * B), 24)};
}
[[gnu::always_inline]] inline F32x16 low_bf16(U8x64 v) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(v.low, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(v.high, 16))};
}
[[gnu::always_inline]] inline F32x16 high_bf16(U8x64 v) {
  const __m256i mask = _mm256_set1_epi32(static_cast<int32_t>(0xFFFF0000u));
  return {_mm256_castsi256_ps(_mm256_and_si256(v.low, mask)),
          _mm256_castsi256_ps(_mm256_and_si256(v.high, mask))};
}

[[gnu::always_inline]] inline void store_bytes(uint8_t* to, U8x64 v) {
  auto* halves = reinterpret_cast<__m256i*>(to);
  _mm256_storeu_si256(halves, v.low);
  _mm256_storeu_si256(halves + 1, v.high);
}
[[gnu::always_inline]] inline I32x16 load_i32(const void* from) {
  return load_bytes(static_cast<const uint8_t*>(from));
}
[[gnu::always_inline]] inline void store_i32(void* to, I32x16 v) {
  store_bytes(static_cast<uint8_t*>(to), v);
}

// A lane of a SubSum is two 16-bit numbers, for columns 0, 1 and for columns 2, 3 mod 4; 8-bit
// codes need all 32 bits. maddubs multiplies two columns and adds them up with saturation, which
// codes below 128 never meet; the sums of its results may wrap around on their way, as long as in
// the end they fit: (code - Zero) * 127 over half of the columns must stay below 2^15.
using SubSum = I32x16;
using Scale = I32x16;  // twice in a lane, as 16-bit numbers

template <int Bits>
[[gnu::always_inline]] inline Scale to_scale(B16 v) {
  return {_mm256_cvtepi8_epi16(_mm_unpacklo_epi8(v, v)),
          _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(v, v))};
}

template <int Bits, int Zero, bool Scaled>
constexpr int kSumZero = Zero;
template <int Bits, int Zero, bool Scaled>
constexpr size_t kSumCols = Bits == 8                               ? 256
                            : Bits == 6 || (Bits == 5 && Zero == 0) ? 16
                                                                    : 32;

template <int Zero>
[[gnu::always_inline]] inline __m256i start_of_half(const int16_t* pair) {
  static_assert(Zero == 4 || Zero == 8 || Zero == 16 || Zero == 32);
  return _mm256_sub_epi16(_mm256_setzero_si256(),
                          _mm256_slli_epi16(broadcast_4_bytes(pair), __builtin_ctz(Zero)));
}
template <int Zero, size_t Cols>
[[gnu::always_inline]] inline SubSum start_sum(const ChunkQ8x256& x, size_t col) {
  if constexpr (Zero == 0) {
    return set1_i32(0);
  } else {
    __m256i half = start_of_half<Zero>(x.pairs[col / 16]);
    if constexpr (Cols == 32)
      half = _mm256_add_epi16(half, start_of_half<Zero>(x.pairs[col / 16 + 1]));
    return {half, half};
  }
}
template <int Zero, size_t Cols>
[[gnu::always_inline]] inline SubSum start_sum(const ChunkQ8x32& x, size_t col) {
  if constexpr (Zero == 0) {
    return set1_i32(0);
  } else {
    const __m256i half = start_of_half<Zero>(x.pairs[col / 32]);
    return {half, half};
  }
}
// Without the empty statement g++ turns the chain of sums into a tree, computes all products first
// and keeps them in memory: half the speed.
template <int Bits>
[[gnu::always_inline]] inline __m256i add_products(__m256i sum, __m256i w, __m256i a) {
  if constexpr (Bits == 8) {  // signed: |w| times a with the sign of w stays within 128 * 127 * 2
    const __m256i products = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
  } else {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, a));
  }
  asm("" : "+x"(sum));
  return sum;
}
using Four = __m256i;
[[gnu::always_inline]] inline Four load_four(const int8_t* a) { return broadcast_4_bytes(a); }
template <int Bits>
[[gnu::always_inline]] inline void add_unit(SubSum& sum, U8x64 w, Four a) {
  sum.low = add_products<Bits>(sum.low, w.low, a);
  sum.high = add_products<Bits>(sum.high, w.high, a);
}
template <int Bits>
[[gnu::always_inline]] inline void add_unit_at(SubSum& sum, U8x64 w, const int8_t* a) {
  add_unit<Bits>(sum, w, load_four(a));
}
template <int Bits>
[[gnu::always_inline]] inline I32x16 to_i32(SubSum sum) {
  if constexpr (Bits == 8) return sum;
  const __m256i ones = _mm256_set1_epi16(1);
  return {_mm256_madd_epi16(sum.low, ones), _mm256_madd_epi16(sum.high, ones)};
}
template <int Bits>
[[gnu::always_inline]] inline I32x16 add_scaled(I32x16 total, SubSum sum, Scale scale) {
  if constexpr (Bits == 8) {
    return add_i32(total, {_mm256_mullo_epi32(sum.low, _mm256_srai_epi32(scale.low, 16)),
                           _mm256_mullo_epi32(sum.high, _mm256_srai_epi32(scale.high, 16))});
  }
  total = add_i32(total,
                  {_mm256_madd_epi16(sum.low, scale.low), _mm256_madd_epi16(sum.high, scale.high)});
  asm("" : "+x"(total.low), "+x"(total.high));
  return total;
}
[[gnu::always_inline]] inline void sums_of_8(const int8_t* a, int16_t* sums) {
  const __m128i from_0 = _mm_xor_si128(load_16_bytes(a), _mm_set1_epi8(-128));
  const __m128i both = _mm_sad_epu8(from_0, _mm_setzero_si128());
  sums[0] = static_cast<int16_t>(_mm_extract_epi16(both, 0) - 8 * 128);
  sums[1] = static_cast<int16_t>(_mm_extract_epi16(both, 4) - 8 * 128);
}
[[gnu::always_inline]] inline void pair_sums(const int8_t* a, int16_t* pair) {
  __m128i sums = _mm_maddubs_epi16(_mm_set1_epi8(1), load_16_bytes(a));
  sums = _mm_add_epi16(sums, _mm_shuffle_epi32(sums, 0x4E));
  sums = _mm_add_epi16(sums, _mm_shuffle_epi32(sums, 0xB1));
  const int both = _mm_cvtsi128_si32(sums);
  std::memcpy(pair, &both, sizeof(both));
}

constexpr int kRegisters = 2;
[[gnu::always_inline]] inline U8x64 set1_bytes(uint8_t x) {
  const __m256i bytes = _mm256_set1_epi8(static_cast<char>(x));
  return {bytes, bytes};
}
// As add_products(), but for the sign of 8-bit codes, which is not multiplying.
template <int Bits>
[[gnu::always_inline]] inline SubSum add_products_of(SubSum sum, U8x64 a, U8x64 b) {
  const I32x16 products = {_mm256_maddubs_epi16(a.low, b.low),
                           _mm256_maddubs_epi16(a.high, b.high)};
  if constexpr (Bits == 8) return add_i32(sum, to_i32<4>(products));
  return {_mm256_add_epi16(sum.low, products.low), _mm256_add_epi16(sum.high, products.high)};
}
template <class V>
[[gnu::always_inline]] inline void hide(V& v) {
  asm volatile("" : "+x"(v.low), "+x"(v.high));
}
