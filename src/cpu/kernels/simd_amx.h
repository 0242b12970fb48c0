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

// What follows goes with the products of codes and scales in simd_avx512_int.h.
// scale * code where that is never negative nor above 255: nothing is carried from byte to byte.
[[gnu::always_inline]] inline U8x64 small_products(U8x64 codes, __m512i scale) {
  return _mm512_mullo_epi16(codes, scale);
}
[[gnu::always_inline]] inline __m512i low_octal_digit(__m512i scale) {
  return _mm512_and_si512(scale, _mm512_set1_epi16(7));
}
[[gnu::always_inline]] inline __m512i high_octal_digit(__m512i scale) {
  return _mm512_srli_epi16(scale, 3);
}
[[gnu::always_inline]] inline U8x64 high_bytes_of(const WordProducts& products) {
  return _mm512_or_si512(_mm512_srli_epi16(products.even, 8),
                         _mm512_and_si512(products.odd, _mm512_set1_epi16(-0x100)));
}
