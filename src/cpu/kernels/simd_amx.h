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

// low + 256 * high: sums of products with the two bytes of 16-bit numbers.
[[gnu::always_inline]] inline I32x16 join_sums(I32x16 low, I32x16 high) {
  return _mm512_add_epi32(low, _mm512_slli_epi32(high, 8));
}
[[gnu::always_inline]] inline U8x64 minus_zero(U8x64 codes, int zero) {
  return _mm512_sub_epi8(codes, _mm512_set1_epi8(static_cast<char>(zero)));
}

// The 16-bit numbers scale * (code - zero) of four columns of 16 rows: low (unsigned) and high
// (signed) bytes, each at its code's place.
struct BytePlanes {
  U8x64 low, high;
};
[[gnu::always_inline]] inline BytePlanes scaled_planes(U8x64 codes, I32x16 scale, int zero) {
  const __m512i low_bytes = _mm512_set1_epi16(0xFF);
  const __m512i scales =
      _mm512_or_si512(_mm512_slli_epi32(scale, 16), _mm512_and_si512(scale, set1_i32(0xFFFF)));
  const __m512i zeros = _mm512_set1_epi16(static_cast<short>(zero));
  const __m512i even =
      _mm512_mullo_epi16(_mm512_sub_epi16(_mm512_and_si512(codes, low_bytes), zeros), scales);
  const __m512i odd =
      _mm512_mullo_epi16(_mm512_sub_epi16(_mm512_srli_epi16(codes, 8), zeros), scales);
  return {_mm512_or_si512(_mm512_and_si512(even, low_bytes), _mm512_slli_epi16(odd, 8)),
          _mm512_or_si512(_mm512_srli_epi16(even, 8),
                          _mm512_and_si512(odd, _mm512_slli_epi16(low_bytes, 8)))};
}
