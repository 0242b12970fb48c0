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
[[gnu::always_inline]] inline I32x16 half_i32(I32x16 a) {
  return {_mm256_srai_epi32(a.low, 1), _mm256_srai_epi32(a.high, 1)};
}
[[gnu::always_inline]] inline F32x16 to_f32(I32x16 a) {
  return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)};
}
[[gnu::always_inline]] inline I32x16 bits_of(F32x16 a) {
  return {_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)};
}
[[gnu::always_inline]] inline F32x16 power_of_2(I32x16 n) {
  const I32x16 exponent = add_i32(n, set1_i32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(exponent.low, 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(exponent.high, 23))};
}
[[gnu::always_inline]] inline int32_t reduce_add_i32(I32x16 a) {
  const __m256i eight = _mm256_add_epi32(a.low, a.high);
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
}
[[gnu::always_inline]] inline I32x16 load_u8(const uint8_t* from) {
  const __m128i bytes = load_16_bytes(from);
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
[[gnu::always_inline]] inline I32x16 load_i8(const uint8_t* from) {
  const __m128i bytes = load_16_bytes(from);
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
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
template <int From, int Width>
[[gnu::always_inline]] inline I32x16 bits_i32(I32x16 v) {
  const __m256i mask = _mm256_set1_epi32((1 << Width) - 1);
  return {_mm256_and_si256(_mm256_srli_epi32(v.low, From), mask),
          _mm256_and_si256(_mm256_srli_epi32(v.high, From), mask)};
}
[[gnu::always_inline]] inline I32x16 pair_i16(I32x16 even, I32x16 odd) {
  return {_mm256_or_si256(even.low, _mm256_slli_epi32(odd.low, 16)),
          _mm256_or_si256(even.high, _mm256_slli_epi32(odd.high, 16))};
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
[[gnu::always_inline]] inline U8x64 shift_right(U8x64 v, int n) {
  const __m128i count = _mm_cvtsi32_si128(n);
  return {_mm256_srl_epi16(v.low, count), _mm256_srl_epi16(v.high, count)};
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

// Eight rows of dot16(). maddubs adds products of two columns in 16 bits and would saturate above
// 32767: 4-bit codes leave room for four such sums (4 * 2 * 15 * 127), 5-bit codes too, 6-bit codes
// for two. Bytes are signed here: |w| times a with the sign of w stays within 128 * 127 * 2.
template <int Bits>
[[gnu::always_inline]] inline __m256i dot16_half(__m256i w0, __m256i w1, __m256i w2, __m256i w3,
                                                 const int8_t* a) {
  const __m256i a0 = broadcast_4_bytes(a), a1 = broadcast_4_bytes(a + 4);
  const __m256i a2 = broadcast_4_bytes(a + 8), a3 = broadcast_4_bytes(a + 12);
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (Bits == 8) {
    const __m256i p0 = _mm256_maddubs_epi16(_mm256_abs_epi8(w0), _mm256_sign_epi8(a0, w0));
    const __m256i p1 = _mm256_maddubs_epi16(_mm256_abs_epi8(w1), _mm256_sign_epi8(a1, w1));
    const __m256i p2 = _mm256_maddubs_epi16(_mm256_abs_epi8(w2), _mm256_sign_epi8(a2, w2));
    const __m256i p3 = _mm256_maddubs_epi16(_mm256_abs_epi8(w3), _mm256_sign_epi8(a3, w3));
    return _mm256_add_epi32(
        _mm256_add_epi32(_mm256_madd_epi16(p0, ones), _mm256_madd_epi16(p1, ones)),
        _mm256_add_epi32(_mm256_madd_epi16(p2, ones), _mm256_madd_epi16(p3, ones)));
  } else {
    const __m256i p0 = _mm256_add_epi16(_mm256_maddubs_epi16(w0, a0), _mm256_maddubs_epi16(w1, a1));
    const __m256i p1 = _mm256_add_epi16(_mm256_maddubs_epi16(w2, a2), _mm256_maddubs_epi16(w3, a3));
    if constexpr (Bits == 6)
      return _mm256_add_epi32(_mm256_madd_epi16(p0, ones), _mm256_madd_epi16(p1, ones));
    return _mm256_madd_epi16(_mm256_add_epi16(p0, p1), ones);
  }
}
template <int Bits, int M>
[[gnu::always_inline]] inline void dot16(I32x16 (&sums)[M], const U8x64 (&w)[4],
                                         const int8_t* const (&a)[M]) {
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    const __m256i low = dot16_half<Bits>(w[0].low, w[1].low, w[2].low, w[3].low, a[m]);
    const __m256i high = dot16_half<Bits>(w[0].high, w[1].high, w[2].high, w[3].high, a[m]);
    sums[m] = add_i32(sums[m], {low, high});
  }
}

[[gnu::always_inline]] inline void prefetch(const void* address) {
  _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T1);
}
