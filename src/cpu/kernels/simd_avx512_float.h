// 16 floats in one AVX-512 register. What the functions mean: simd_scalar_float.h. Included by
// table_avx512.cpp inside its anonymous namespace and target region.

constexpr int kFewTile = 16;
constexpr size_t kMostKept = 24;
constexpr int kRowTile = 8;
constexpr size_t kFewRows = 16;
constexpr int kManyTileRows = 6;
constexpr int kManyTilePanels = 2;
constexpr size_t kManyRows = 192;
constexpr int kFloatRowTile = 8;
constexpr int kQueryTile = 12;
constexpr int kTileVectors = 2;

using F32x16 = __m512;

[[gnu::always_inline]] inline __mmask16 first_lanes(size_t n) {
  return static_cast<__mmask16>((1u << n) - 1);
}

[[gnu::always_inline]] inline F32x16 set1(float x) { return _mm512_set1_ps(x); }
[[gnu::always_inline]] inline F32x16 load(const float* from) { return _mm512_loadu_ps(from); }
[[gnu::always_inline]] inline void store(float* to, F32x16 v) { _mm512_storeu_ps(to, v); }
[[gnu::always_inline]] inline F32x16 load_part(const float* from, size_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), from);
}
[[gnu::always_inline]] inline void store_part(float* to, F32x16 v, size_t n) {
  _mm512_mask_storeu_ps(to, first_lanes(n), v);
}
[[gnu::always_inline]] inline F32x16 load_f16(const std::byte* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
[[gnu::always_inline]] inline F32x16 load_f16_part(const std::byte* from, size_t n) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), from));
}
[[gnu::always_inline]] inline F32x16 load_bf16(const std::byte* from) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
[[gnu::always_inline]] inline F32x16 load_i8(const std::byte* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}
[[gnu::always_inline]] inline void store_f16_part(std::byte* to, F32x16 v, size_t n) {
  const __m256i halves = _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  _mm256_mask_storeu_epi16(to, first_lanes(n), halves);
}

[[gnu::always_inline]] inline F32x16 add(F32x16 a, F32x16 b) { return _mm512_add_ps(a, b); }
[[gnu::always_inline]] inline F32x16 sub(F32x16 a, F32x16 b) { return _mm512_sub_ps(a, b); }
[[gnu::always_inline]] inline F32x16 mul(F32x16 a, F32x16 b) { return _mm512_mul_ps(a, b); }
[[gnu::always_inline]] inline F32x16 div(F32x16 a, F32x16 b) { return _mm512_div_ps(a, b); }
[[gnu::always_inline]] inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return _mm512_fmadd_ps(a, b, c);
}
[[gnu::always_inline]] inline F32x16 max(F32x16 a, F32x16 b) { return _mm512_max_ps(a, b); }
[[gnu::always_inline]] inline F32x16 min(F32x16 a, F32x16 b) { return _mm512_min_ps(a, b); }
[[gnu::always_inline]] inline F32x16 abs(F32x16 a) { return _mm512_abs_ps(a); }
[[gnu::always_inline]] inline F32x16 keep_lanes(F32x16 v, size_t first, size_t end, F32x16 other) {
  const auto kept = static_cast<__mmask16>(first_lanes(end) & ~first_lanes(first));
  return _mm512_mask_blend_ps(kept, other, v);
}
[[gnu::always_inline]] inline F32x16 halves_swapped(F32x16 v) {
  return _mm512_shuffle_f32x4(v, v, 0x4E);
}
[[gnu::always_inline]] inline float reduce_add(F32x16 v) {
  v = add(v, halves_swapped(v));
  v = add(v, _mm512_shuffle_f32x4(v, v, 0xB1));
  v = add(v, _mm512_permute_ps(v, 0x4E));
  return _mm512_cvtss_f32(add(v, _mm512_permute_ps(v, 0xB1)));
}
[[gnu::always_inline]] inline float reduce_max(F32x16 v) {
  v = max(v, halves_swapped(v));
  v = max(v, _mm512_shuffle_f32x4(v, v, 0xB1));
  v = max(v, _mm512_permute_ps(v, 0x4E));
  return _mm512_cvtss_f32(max(v, _mm512_permute_ps(v, 0xB1)));
}
