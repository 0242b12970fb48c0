// 16 integers and 64 bytes in plain C++, and what each function means; see simd_scalar_float.h.

constexpr bool kSignedBytes = false;  // 8-bit codes enter add_unit() as signed numbers

struct I32x16 {
  int32_t lane[16];
};
struct U8x64 {  // lane r of 32 bits holds bytes 4r to 4r + 3
  uint8_t byte[64];
};

inline I32x16 set1_i32(int32_t x) {
  I32x16 v;
  for (int32_t& lane : v.lane) lane = x;
  return v;
}
inline I32x16 add_i32(I32x16 a, const I32x16& b) {
  for (int i = 0; i < 16; ++i) a.lane[i] += b.lane[i];
  return a;
}
[[gnu::noinline]] I32x16 sub_i32(I32x16 a, const I32x16& b) {
  for (int i = 0; i < 16; ++i)  // wraps around, as the instruction does
    a.lane[i] =
        static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) - static_cast<uint32_t>(b.lane[i]));
  return a;
}
[[gnu::noinline]] F32x16 to_f32(const I32x16& a) {
  F32x16 v;
  for (int i = 0; i < 16; ++i) v.lane[i] = static_cast<float>(a.lane[i]);
  return v;
}
// The bits of the float as an integer.
inline I32x16 bits_of(const F32x16& a) { return std::bit_cast<I32x16>(a); }
// x 2^n for whole numbers n from -200 to 200, in two steps: 2^n itself may be no float. n + 1.5 *
// 2^23 holds n in its lowest bits, and for NaN some number: x is NaN too.
[[gnu::noinline]] F32x16 times_power_of_2(F32x16 x, const F32x16& n) {
  const auto power = [](int32_t exponent) {
    return std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
  };
  for (int i = 0; i < 16; ++i) {
    const int32_t whole = std::bit_cast<int32_t>(n.lane[i] + 0x1.8p23f) - 0x4B400000;
    const int32_t half = whole >> 1;
    x.lane[i] = x.lane[i] * power(half) * power(whole - half);
  }
  return x;
}
// The lowest byte of each lane.
inline void store_i8(int8_t* to, const I32x16& v) {
  for (int i = 0; i < 16; ++i) to[i] = static_cast<int8_t>(v.lane[i]);
}
// Sixteen bytes: a small integer for each row.
struct B16 {
  uint8_t byte[16];
};
inline B16 load_16(const uint8_t* from) {
  B16 v;
  std::memcpy(v.byte, from, sizeof(v.byte));
  return v;
}
// Bits From to From + 3 of each byte; From is 0 or 4.
template <int From>
inline B16 nibbles(B16 v) {
  for (uint8_t& byte : v.byte) byte = byte >> From & 15;
  return v;
}
[[gnu::noinline]] I32x16 signed_lanes(const B16& v) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = static_cast<int8_t>(v.byte[i]);
  return out;
}
// Lane = even | odd << 16, of unsigned bytes, for dot_i16().
[[gnu::noinline]] I32x16 pairs_of(const B16& even, const B16& odd) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = even.byte[i] | odd.byte[i] << 16;
  return out;
}
// acc + low half * factors[0] + high half * factors[1].
[[gnu::noinline]] I32x16 dot_i16(I32x16 acc, const I32x16& pairs, const int16_t* factors) {
  for (int i = 0; i < 16; ++i)
    acc.lane[i] +=
        static_cast<int16_t>(pairs.lane[i]) * factors[0] + (pairs.lane[i] >> 16) * factors[1];
  return acc;
}

inline U8x64 load_bytes(const uint8_t* from) {
  U8x64 v;
  std::memcpy(v.byte, from, sizeof(v.byte));
  return v;
}
inline U8x64 xor_bytes(U8x64 v, uint8_t mask) {
  for (uint8_t& byte : v.byte) byte ^= mask;
  return v;
}
[[gnu::noinline]] U8x64 or_bytes(U8x64 a, const U8x64& b) {
  for (int i = 0; i < 64; ++i) a.byte[i] |= b.byte[i];
  return a;
}
// Bits [From, From + Width) of each byte moved to [To, To + Width), all others zero.
template <int From, int Width, int To>
[[gnu::noinline]] U8x64 field(U8x64 v) {
  for (uint8_t& byte : v.byte)
    byte = static_cast<uint8_t>((byte >> From & ((1 << Width) - 1)) << To);
  return v;
}
// table[byte] for bytes below 16.
[[gnu::noinline]] U8x64 lookup(const uint8_t (&table)[16], U8x64 v) {
  for (uint8_t& byte : v.byte) byte = table[byte];
  return v;
}
// Byte B of each lane, unsigned or signed.
template <int B>
[[gnu::noinline]] I32x16 byte_of(const U8x64& v) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = v.byte[4 * i + B];
  return out;
}
template <int B>
[[gnu::noinline]] I32x16 signed_byte_of(const U8x64& v) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = static_cast<int8_t>(v.byte[4 * i + B]);
  return out;
}
// Each lane as two BF16 numbers: the one in the low half, the one in the high half.
inline F32x16 low_bf16(const U8x64& v) {
  const auto words = std::bit_cast<I32x16>(v);
  F32x16 out;
  for (int i = 0; i < 16; ++i)
    out.lane[i] = std::bit_cast<float>(static_cast<uint32_t>(words.lane[i]) << 16);
  return out;
}
inline F32x16 high_bf16(const U8x64& v) {
  const auto words = std::bit_cast<I32x16>(v);
  F32x16 out;
  for (int i = 0; i < 16; ++i)
    out.lane[i] = std::bit_cast<float>(static_cast<uint32_t>(words.lane[i]) & 0xFFFF0000u);
  return out;
}

inline void store_bytes(uint8_t* to, const U8x64& v) { std::memcpy(to, v.byte, sizeof(v.byte)); }
inline I32x16 load_i32(const void* from) {
  I32x16 v;
  std::memcpy(v.lane, from, sizeof(v.lane));
  return v;
}
inline void store_i32(void* to, const I32x16& v) { std::memcpy(to, v.lane, sizeof(v.lane)); }

// ---- Dot products of codes and activations, for 16 rows. A SubSum gathers them over columns that
// share a step; what it is made of is the instruction set's own affair, the sum that comes out is
// exact.

using SubSum = I32x16;
using Scale = I32x16;  // signed bytes of the rows as add_scaled() wants them

template <int Bits>
inline Scale to_scale(const B16& v) {
  return signed_lanes(v);
}

// What codes of so many bits, which count from Zero, are taken to count from while they are summed:
// add_scaled() may want small sums. Scaled: sub-blocks have integer scales.
template <int Bits, int Zero, bool Scaled>
constexpr int kSumZero = Zero;
// Columns that a SubSum has room for.
template <int Bits, int Zero, bool Scaled>
constexpr size_t kSumCols = 256;

// The sum of columns `col` to `col` + Cols - 1 for codes that count from Zero begins with -Zero
// times the sum of the activations.
template <int Zero, size_t Cols, class Chunk>
[[gnu::noinline]] SubSum start_sum(const Chunk& x, size_t col) {
  int32_t sum = 0;
  for (size_t i = 0; i < Cols; ++i) sum += x.quants[col + i];
  return set1_i32(-Zero * sum);
}
// Four activations, for all rows.
using Four = const int8_t*;
inline Four load_four(const int8_t* a) { return a; }
// sum += codes · a: four columns, which w holds in the bytes of its lanes.
template <int Bits>
[[gnu::noinline]] void add_unit(SubSum& sum, const U8x64& w, Four a) {
  for (int i = 0; i < 16; ++i) {
    for (int k = 0; k < 4; ++k) sum.lane[i] += w.byte[4 * i + k] * a[k];
  }
}
// The same with load_four(a), for activations that meet one unit alone.
template <int Bits>
inline void add_unit_at(SubSum& sum, const U8x64& w, const int8_t* a) {
  add_unit<Bits>(sum, w, load_four(a));
}
template <int Bits>
inline I32x16 to_i32(const SubSum& sum) {
  return sum;
}
// total + sum * scale.
template <int Bits>
[[gnu::noinline]] I32x16 add_scaled(I32x16 total, const SubSum& sum, const Scale& scale) {
  for (int i = 0; i < 16; ++i) total.lane[i] += sum.lane[i] * scale.lane[i];
  return total;
}
// The sums of activations 0 to 7 and 8 to 15.
inline void sums_of_8(const int8_t* a, int16_t* sums) {
  sums[0] = sums[1] = 0;
  for (int i = 0; i < 16; ++i) sums[i / 8] = static_cast<int16_t>(sums[i / 8] + a[i]);
}
// The sums of 16 activations at columns 0, 1 mod 4 and at columns 2, 3 mod 4.
inline void pair_sums(const int8_t* a, int16_t* pair) {
  int sums[2] = {0, 0};
  for (int i = 0; i < 16; ++i) sums[i / 2 % 2] += a[i];
  pair[0] = static_cast<int16_t>(sums[0]);
  pair[1] = static_cast<int16_t>(sums[1]);
}

// For peak-inl.h: registers that a vector takes, 64 equal bytes, a sum and 64 products, and making
// the compiler forget what it knows of a value.
constexpr int kRegisters = 1;
inline U8x64 set1_bytes(uint8_t x) {
  U8x64 v;
  for (uint8_t& byte : v.byte) byte = x;
  return v;
}
template <int Bits>
[[gnu::noinline]] SubSum add_products_of(SubSum sum, const U8x64& a, const U8x64& b) {
  for (int i = 0; i < 64; ++i) sum.lane[i / 4] += a.byte[i] * static_cast<int8_t>(b.byte[i]);
  return sum;
}
template <class V>
inline void hide(V& v) {
  asm volatile("" : "+m"(v));
}
