// 16 integers or 64 bytes in one AVX-512 register; see simd_avx512_float.h. What the functions
// mean: simd_scalar_int.h.

constexpr bool kSignedBytes = false;

using I32x16 = __m512i;
using U8x64 = __m512i;

[[gnu::always_inline]] inline I32x16 set1_i32(int32_t x) { return _mm512_set1_epi32(x); }
[[gnu::always_inline]] inline I32x16 add_i32(I32x16 a, I32x16 b) { return _mm512_add_epi32(a, b); }
[[gnu::always_inline]] inline I32x16 sub_i32(I32x16 a, I32x16 b) { return _mm512_sub_epi32(a, b); }
[[gnu::always_inline]] inline F32x16 to_f32(I32x16 a) { return _mm512_cvtepi32_ps(a); }
[[gnu::always_inline]] inline I32x16 bits_of(F32x16 a) { return _mm512_castps_si512(a); }
[[gnu::always_inline]] inline F32x16 times_power_of_2(F32x16 v, F32x16 n) {
  return _mm512_scalef_ps(v, n);
}
[[gnu::always_inline]] inline void store_i8(int8_t* to, I32x16 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(v));
}
using B16 = __m128i;

[[gnu::always_inline]] inline B16 load_16(const uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
template <int From>
[[gnu::always_inline]] inline B16 nibbles(B16 v) {
  return _mm_and_si128(_mm_srli_epi16(v, From), _mm_set1_epi8(15));
}
[[gnu::always_inline]] inline I32x16 signed_lanes(B16 v) { return _mm512_cvtepi8_epi32(v); }
[[gnu::always_inline]] inline I32x16 pairs_of(B16 even, B16 odd) {
  return _mm512_cvtepu8_epi16(
      _mm256_set_m128i(_mm_unpackhi_epi8(even, odd), _mm_unpacklo_epi8(even, odd)));
}
// g++ would load some words into general registers first, from where broadcasts are slow.
template <class V>
[[gnu::always_inline]] inline void broadcast_loaded(V& words, const void* from) {
  asm("vpbroadcastd %1, %0" : "=v"(words) : "m"(*static_cast<const int8_t(*)[4]>(from)));
}
[[gnu::always_inline]] inline I32x16 broadcast_4_bytes(const void* from) {
  I32x16 words;
  broadcast_loaded(words, from);
  return words;
}
[[gnu::always_inline]] inline I32x16 dot_i16(I32x16 acc, I32x16 pairs, const int16_t* factors) {
  return _mm512_dpwssd_epi32(acc, pairs, broadcast_4_bytes(factors));
}

[[gnu::always_inline]] inline U8x64 load_bytes(const uint8_t* from) {
  return _mm512_loadu_si512(from);
}
[[gnu::always_inline]] inline U8x64 xor_bytes(U8x64 v, uint8_t mask) {
  return _mm512_xor_si512(v, _mm512_set1_epi8(static_cast<char>(mask)));
}
[[gnu::always_inline]] inline U8x64 or_bytes(U8x64 a, U8x64 b) { return _mm512_or_si512(a, b); }
template <int From, int Width, int To>
[[gnu::always_inline]] inline U8x64 field(U8x64 v) {
  if constexpr (From > To) v = _mm512_srli_epi16(v, From - To);
  if constexpr (From < To) v = _mm512_slli_epi16(v, To - From);
  return _mm512_and_si512(v, _mm512_set1_epi8(static_cast<char>(((1 << Width) - 1) << To)));
}
[[gnu::always_inline]] inline U8x64 lookup(const uint8_t (&table)[16], U8x64 v) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(bytes), v);
}
template <int B>
[[gnu::always_inline]] inline I32x16 byte_of(U8x64 v) {
  return _mm512_srli_epi32(_mm512_slli_epi32(v, 24 - 8 * B), 24);
}
template <int B>
[[gnu::always_inline]] inline I32x16 signed_byte_of(U8x64 v) {
  return _mm512_srai_epi32(_mm512_slli_epi32(v, 24 - 8 * B), 24);
}
[[gnu::always_inline]] inline F32x16 low_bf16(U8x64 v) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
}
[[gnu::always_inline]] inline F32x16 high_bf16(U8x64 v) {
  return _mm512_castsi512_ps(_mm512_and_si512(v, set1_i32(static_cast<int32_t>(0xFFFF0000u))));
}

[[gnu::always_inline]] inline void store_bytes(uint8_t* to, U8x64 v) { _mm512_storeu_si512(to, v); }
[[gnu::always_inline]] inline I32x16 load_i32(const void* from) { return _mm512_loadu_si512(from); }
[[gnu::always_inline]] inline void store_i32(void* to, I32x16 v) { _mm512_storeu_si512(to, v); }

// The compiler forgets what it knows of a value, which is in a register now.
template <class V>
[[gnu::always_inline]] inline void hide(V& v) {
  asm volatile("" : "+v"(v));
}

// Sums of codes, before they are multiplied by a scale: simd_avx512_sums.h.
using SubSum = I32x16;

template <int Zero>
[[gnu::always_inline]] inline SubSum start_of_pair(const int16_t* pair) {
  return _mm512_dpwssd_epi32(set1_i32(0), broadcast_4_bytes(pair), _mm512_set1_epi16(-Zero));
}
template <int Zero, size_t Cols>
[[gnu::always_inline]] inline SubSum start_sum(const ChunkQ8x32& x, size_t col) {
  if constexpr (Zero == 0) return set1_i32(0);
  if constexpr (Zero == 8) return broadcast_4_bytes(x.starts_from_8 + col / 32);
  if constexpr (Zero == 128) return broadcast_4_bytes(x.starts_from_128 + col / 32);
  return start_of_pair<Zero>(x.pairs[col / 32]);
}
using Four = __m512i;
[[gnu::always_inline]] inline Four load_four(const int8_t* a) { return broadcast_4_bytes(a); }
// Not hidden, g++ delays a chain of sums until its end is needed and keeps what goes into it in
// memory: two thirds of the speed.
template <int Bits>
[[gnu::always_inline]] inline void add_unit(SubSum& sum, U8x64 w, Four a) {
  sum = _mm512_dpbusd_epi32(sum, w, a);
  hide(sum);
}
// sum += w · a; the instruction broadcasts what it loads itself, which g++ does not know.
template <class V>
[[gnu::always_inline]] inline void add_loaded(V& sum, const V& w, const int8_t* a) {
  asm volatile("vpdpbusd %2%{1to16%}, %1, %0"
               : "+v"(sum)
               : "v"(w), "m"(*reinterpret_cast<const int8_t(*)[4]>(a)));
}
template <int Bits>
[[gnu::always_inline]] inline void add_unit_at(SubSum& sum, U8x64 w, const int8_t* a) {
  add_loaded(sum, w, a);
}
template <int Bits>
[[gnu::always_inline]] inline I32x16 to_i32(SubSum sum) {
  return sum;
}
[[gnu::always_inline]] inline void sums_of_8(const int8_t* a, int16_t* sums) {
  const __m128i quants = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
  const __m128i both =
      _mm_sad_epu8(_mm_xor_si128(quants, _mm_set1_epi8(-128)), _mm_setzero_si128());
  sums[0] = static_cast<int16_t>(_mm_extract_epi16(both, 0) - 8 * 128);
  sums[1] = static_cast<int16_t>(_mm_extract_epi16(both, 4) - 8 * 128);
}
[[gnu::always_inline]] inline void pair_sums(const int8_t* a, int16_t* pair) {
  __m128i sums =
      _mm_maddubs_epi16(_mm_set1_epi8(1), _mm_loadu_si128(reinterpret_cast<const __m128i*>(a)));
  sums = _mm_add_epi16(sums, _mm_shuffle_epi32(sums, 0x4E));
  sums = _mm_add_epi16(sums, _mm_shuffle_epi32(sums, 0xB1));
  const int both = _mm_cvtsi128_si32(sums);
  std::memcpy(pair, &both, sizeof(both));
}

// 0, 1, 2 and 3 times a scale below 64, in the bytes of its lane.
[[gnu::always_inline]] inline U8x64 multiples(I32x16 scale) {
  return _mm512_mullo_epi32(scale, set1_i32(0x03020100));
}
// The byte of its lane that each byte of `indices`, 0 to 3, names.
[[gnu::always_inline]] inline U8x64 look_up_lanes(U8x64 table, U8x64 indices) {
  const __m512i lane = _mm512_set4_epi32(0x0C0C0C0C, 0x08080808, 0x04040404, 0);
  return _mm512_shuffle_epi8(table, or_bytes(indices, lane));
}

// What follows multiplies four columns of codes of 16 rows by a scale for each row, which is there
// twice: in the upper and in the lower 16 bits.
[[gnu::always_inline]] inline __m512i twice_in_32(I32x16 scale) {
  return _mm512_or_si512(_mm512_slli_epi32(scale, 16), _mm512_and_si512(scale, set1_i32(0xFFFF)));
}
[[gnu::always_inline]] inline __m512i negative(__m512i scale) {
  return _mm512_sub_epi16(_mm512_set1_epi16(0), scale);
}

// The 16-bit numbers scale * (code - zero).
struct WordProducts {
  __m512i even, odd;  // of columns 0 and 2, of columns 1 and 3
};
[[gnu::always_inline]] inline WordProducts products_of(U8x64 codes, __m512i scale, int zero) {
  const __m512i zeros = _mm512_set1_epi16(static_cast<short>(zero));
  const __m512i even = _mm512_and_si512(codes, _mm512_set1_epi16(0xFF));
  const __m512i odd = _mm512_srli_epi16(codes, 8);
  return {_mm512_mullo_epi16(_mm512_sub_epi16(even, zeros), scale),
          _mm512_mullo_epi16(_mm512_sub_epi16(odd, zeros), scale)};
}
[[gnu::always_inline]] inline U8x64 low_bytes_of(const WordProducts& products) {
  return _mm512_or_si512(_mm512_and_si512(products.even, _mm512_set1_epi16(0xFF)),
                         _mm512_slli_epi16(products.odd, 8));
}

constexpr int kRegisters = 1;
[[gnu::always_inline]] inline U8x64 set1_bytes(uint8_t x) {
  return _mm512_set1_epi8(static_cast<char>(x));
}
template <int Bits>
[[gnu::always_inline]] inline SubSum add_products_of(SubSum sum, U8x64 a, U8x64 b) {
  return _mm512_dpbusd_epi32(sum, a, b);
}
