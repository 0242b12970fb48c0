// 16 floats in plain C++, and what each function means: simd_avx2_*.h and simd_avx512_*.h give the
// same functions the same results, bit by bit. Included by table_scalar.cpp inside its anonymous
// namespace. Functions of many lanes stay calls: inlined, they take long to compile and win little.

constexpr int kFewTile = 1;         // rows times panels of a pass of few rows, at most
constexpr size_t kMostKept = 1024;  // loaded units and sums that a pass keeps (forget_loaded())
constexpr int kRowTile = 1;         // activation rows that are multiplied together
constexpr size_t kFewRows = 4;      // up to so many rows take codes straight from the panel
constexpr int kManyTileRows = 1;
constexpr int kManyTilePanels = 1;
constexpr size_t kManyRows = 192;  // so many at most share an unpacked chunk
constexpr int kFloatRowTile = 1;   // the same for panels of floats
constexpr int kQueryTile = 1;      // attention: queries that share one load of a key or value
constexpr int kTileVectors = 1;    // attention: registers of keys or values side by side

struct F32x16 {
  float lane[16];
};

inline F32x16 set1(float x) {
  F32x16 v;
  for (float& lane : v.lane) lane = x;
  return v;
}
// `from` + 0 to 15.
inline F32x16 load(const float* from) {
  F32x16 v;
  std::memcpy(v.lane, from, sizeof(v.lane));
  return v;
}
inline void store(float* to, const F32x16& v) { std::memcpy(to, v.lane, sizeof(v.lane)); }
// The first n <= 16 lanes; the others read as zero and are not written.
inline F32x16 load_part(const float* from, size_t n) {
  F32x16 v = set1(0);
  std::memcpy(v.lane, from, n * sizeof(float));
  return v;
}
inline void store_part(float* to, const F32x16& v, size_t n) {
  std::memcpy(to, v.lane, n * sizeof(float));
}
// The same with F16 in memory; storing rounds to nearest even.
[[gnu::noinline]] F32x16 load_f16_part(const std::byte* from, size_t n) {
  uint16_t halves[16] = {};
  std::memcpy(halves, from, n * sizeof(uint16_t));
  F32x16 v;
  for (int i = 0; i < 16; ++i) v.lane[i] = f16_to_f32(halves[i]);
  return v;
}
inline F32x16 load_f16(const std::byte* from) { return load_f16_part(from, 16); }
[[gnu::noinline]] F32x16 load_bf16(const std::byte* from) {
  uint16_t halves[16];
  std::memcpy(halves, from, sizeof(halves));
  F32x16 v;
  for (int i = 0; i < 16; ++i) v.lane[i] = bf16_to_f32(halves[i]);
  return v;
}
[[gnu::noinline]] F32x16 load_i8(const std::byte* from) {
  F32x16 v;
  for (int i = 0; i < 16; ++i)
    v.lane[i] = static_cast<float>(static_cast<int8_t>(std::to_integer<uint8_t>(from[i])));
  return v;
}
[[gnu::noinline]] void store_f16_part(std::byte* to, const F32x16& v, size_t n) {
  uint16_t halves[16];
  for (int i = 0; i < 16; ++i) halves[i] = f32_to_f16(v.lane[i]);
  std::memcpy(to, halves, n * sizeof(uint16_t));
}

[[gnu::noinline]] F32x16 add(F32x16 a, const F32x16& b) {
  for (int i = 0; i < 16; ++i) a.lane[i] += b.lane[i];
  return a;
}
[[gnu::noinline]] F32x16 sub(F32x16 a, const F32x16& b) {
  for (int i = 0; i < 16; ++i) a.lane[i] -= b.lane[i];
  return a;
}
[[gnu::noinline]] F32x16 mul(F32x16 a, const F32x16& b) {
  for (int i = 0; i < 16; ++i) a.lane[i] *= b.lane[i];
  return a;
}
inline F32x16 div(F32x16 a, const F32x16& b) {
  for (int i = 0; i < 16; ++i) a.lane[i] /= b.lane[i];
  return a;
}
// a * b + c, rounded once.
[[gnu::noinline]] F32x16 fma(const F32x16& a, const F32x16& b, F32x16 c) {
  for (int i = 0; i < 16; ++i) c.lane[i] = __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}
// a > b ? a : b, so b if either is NaN.
[[gnu::noinline]] F32x16 max(F32x16 a, const F32x16& b) {
  for (int i = 0; i < 16; ++i) a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}
[[gnu::noinline]] F32x16 min(F32x16 a, const F32x16& b) {
  for (int i = 0; i < 16; ++i) a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];
  return a;
}
inline F32x16 abs(F32x16 a) {
  for (float& lane : a.lane) lane = __builtin_fabsf(lane);
  return a;
}
// Lanes [first, end) of v, `other` elsewhere.
[[gnu::noinline]] F32x16 keep_lanes(F32x16 v, size_t first, size_t end, const F32x16& other) {
  for (size_t i = 0; i < 16; ++i) {
    if (i < first || i >= end) v.lane[i] = other.lane[i];
  }
  return v;
}
// The sum of the lanes, halved three times: lanes i and i + 8 first, neighbours last.
[[gnu::noinline]] float reduce_add(F32x16 v) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) v.lane[i] += v.lane[i + half];
  }
  return v.lane[0];
}
[[gnu::noinline]] float reduce_max(F32x16 v) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i)
      v.lane[i] = v.lane[i] > v.lane[i + half] ? v.lane[i] : v.lane[i + half];
  }
  return v.lane[0];
}
