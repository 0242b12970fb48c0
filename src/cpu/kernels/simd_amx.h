// What the tile kernels need beyond simd_avx512_*.h. Included by table_amx.cpp inside its anonymous
// namespace and target region. The eight tile registers are named by literals: compilers paste them
// into instructions.

// The shape of every tile register, as LDTILECFG reads it.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t n_rows[16] = {};

  void set(size_t tile, size_t rows, size_t bytes) {
    n_rows[tile] = static_cast<uint8_t>(rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

// What is at `memory` is really there for the tile instructions that follow: g++ does not know that
// these read memory.
[[gnu::always_inline]] inline void finish_stores(const void* memory) {
  asm volatile("" : : "r"(memory) : "memory");
}

[[gnu::always_inline]] inline void configure_tiles(const TileConfig& config) {
  finish_stores(&config);
  _tile_loadconfig(&config);
}

// low + 2^Bits * high.
template <int Bits>
[[gnu::always_inline]] inline I32x16 add_shifted(I32x16 low, I32x16 high) {
  return _mm512_add_epi32(low, _mm512_slli_epi32(high, Bits));
}
[[gnu::always_inline]] inline U8x64 minus_zero(U8x64 codes, int zero) {
  return _mm512_sub_epi8(codes, _mm512_set1_epi8(static_cast<char>(zero)));
}

// What follows multiplies four columns of codes of 16 rows by a scale for each row, which is there
// twice: in the upper and in the lower 16 bits.
[[gnu::always_inline]] inline __m512i twice_in_32(I32x16 scale) {
  return _mm512_or_si512(_mm512_slli_epi32(scale, 16), _mm512_and_si512(scale, set1_i32(0xFFFF)));
}
[[gnu::always_inline]] inline __m512i low_octal_digit(__m512i scale) {
  return _mm512_and_si512(scale, _mm512_set1_epi16(7));
}
[[gnu::always_inline]] inline __m512i high_octal_digit(__m512i scale) {
  return _mm512_srli_epi16(scale, 3);
}
[[gnu::always_inline]] inline __m512i negative(__m512i scale) {
  return _mm512_sub_epi16(_mm512_set1_epi16(0), scale);
}

// scale * code where that is never negative nor above 255: nothing is carried from byte to byte.
[[gnu::always_inline]] inline U8x64 small_products(U8x64 codes, __m512i scale) {
  return _mm512_mullo_epi16(codes, scale);
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
[[gnu::always_inline]] inline U8x64 high_bytes_of(const WordProducts& products) {
  return _mm512_or_si512(_mm512_srli_epi16(products.even, 8),
                         _mm512_and_si512(products.odd, _mm512_set1_epi16(-0x100)));
}
