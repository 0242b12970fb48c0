// 16 floats in AVX2 with FMA and F16C: two registers, lanes 0 to 7 and 8 to 15. What the functions
// mean: simd_scalar_float.h. Included by table_avx2.cpp inside its anonymous namespace and target
// region.

constexpr int kFewTile = 6;
constexpr size_t kMostKept = 1024;
constexpr int kRowTile = 4;
constexpr size_t kFewRows = 4;
constexpr int kManyTileRows = 6;
constexpr int kManyTilePanels = 1;
constexpr size_t kManyRows = 192;
constexpr int kFloatRowTile = 3;
constexpr int kQueryTile = 6;
constexpr int kTileVectors = 1;

struct F32x16 {
  __m256 low, high;
};

[[gnu::always_inline]] inline F32x16 set1(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
[[gnu::always_inline]] inline F32x16 load(const float* from) {
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
[[gnu::always_inline]] inline void store(float* to, F32x16 v) {
  _mm256_storeu_ps(to, v.low);
  _mm256_storeu_ps(to + 8, v.high);
}
// All ones in lanes [0, n), zero above; n may be negative or beyond the eight lanes.
[[gnu::always_inline]] inline __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
[[gnu::always_inline]] inline F32x16 load_part(const float* from, size_t n) {
  const int count = static_cast<int>(n);
  return {_mm256_maskload_ps(from, first_lanes(count)),
          _mm256_maskload_ps(from + 8, first_lanes(count - 8))};
}
[[gnu::always_inline]] inline void store_part(float* to, F32x16 v, size_t n) {
  const int count = static_cast<int>(n);
  _mm256_maskstore_ps(to, first_lanes(count), v.low);
  _mm256_maskstore_ps(to + 8, first_lanes(count - 8), v.high);
}
[[gnu::always_inline]] inline __m128i load_16_bytes(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
[[gnu::always_inline]] inline F32x16 load_f16(const std::byte* from) {
  return {_mm256_cvtph_ps(load_16_bytes(from)), _mm256_cvtph_ps(load_16_bytes(from + 16))};
}
[[gnu::always_inline]] inline F32x16 load_f16_part(const std::byte* from, size_t n) {
  std::byte halves[32] = {};
  std::memcpy(halves, from, 2 * n);
  return load_f16(halves);
}
[[gnu::always_inline]] inline __m256 bf16_to_floats(__m128i halves) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
[[gnu::always_inline]] inline F32x16 load_bf16(const std::byte* from) {
  return {bf16_to_floats(load_16_bytes(from)), bf16_to_floats(load_16_bytes(from + 16))};
}
[[gnu::always_inline]] inline F32x16 load_i8(const std::byte* from) {
  const __m128i bytes = load_16_bytes(from);
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}
[[gnu::always_inline]] inline void store_f16_part(std::byte* to, F32x16 v, size_t n) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  const __m128i halves[2] = {_mm256_cvtps_ph(v.low, kNearest), _mm256_cvtps_ph(v.high, kNearest)};
  std::memcpy(to, halves, 2 * n);
}

[[gnu::always_inline]] inline F32x16 add(F32x16 a, F32x16 b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 sub(F32x16 a, F32x16 b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 mul(F32x16 a, F32x16 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 div(F32x16 a, F32x16 b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
[[gnu::always_inline]] inline F32x16 max(F32x16 a, F32x16 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 min(F32x16 a, F32x16 b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
[[gnu::always_inline]] inline F32x16 abs(F32x16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
[[gnu::always_inline]] inline F32x16 keep_lanes(F32x16 v, size_t first, size_t end, F32x16 other) {
  const int begin = static_cast<int>(first), stop = static_cast<int>(end);
  const __m256i low = _mm256_andnot_si256(first_lanes(begin), first_lanes(stop));
  const __m256i high = _mm256_andnot_si256(first_lanes(begin - 8), first_lanes(stop - 8));
  return {_mm256_blendv_ps(other.low, v.low, _mm256_castsi256_ps(low)),
          _mm256_blendv_ps(other.high, v.high, _mm256_castsi256_ps(high))};
}
[[gnu::always_inline]] inline float reduce_add(F32x16 v) {
  const __m256 eight = _mm256_add_ps(v.low, v.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_permute_ps(four, 0x4E));
  return _mm_cvtss_f32(_mm_add_ps(two, _mm_permute_ps(two, 0xB1)));
}
[[gnu::always_inline]] inline float reduce_max(F32x16 v) {
  const __m256 eight = _mm256_max_ps(v.low, v.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_permute_ps(four, 0x4E));
  return _mm_cvtss_f32(_mm_max_ps(two, _mm_permute_ps(two, 0xB1)));
}
