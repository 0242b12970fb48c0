// 16 integers and 64 bytes in plain C++, and what each function means; see simd_scalar_float.h.

constexpr bool kSignedBytes = false;  // 8-bit codes enter dot16() as signed numbers

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
// Halves, rounding down.
inline I32x16 half_i32(I32x16 a) {
  for (int32_t& lane : a.lane) lane >>= 1;
  return a;
}
[[gnu::noinline]] F32x16 to_f32(const I32x16& a) {
  F32x16 v;
  for (int i = 0; i < 16; ++i) v.lane[i] = static_cast<float>(a.lane[i]);
  return v;
}
// The bits of the float as an integer, and 2^n for -127 < n < 128.
inline I32x16 bits_of(const F32x16& a) { return std::bit_cast<I32x16>(a); }
[[gnu::noinline]] F32x16 power_of_2(const I32x16& n) {
  F32x16 v;
  for (int i = 0; i < 16; ++i)
    v.lane[i] = std::bit_cast<float>((static_cast<uint32_t>(n.lane[i]) + 127u) << 23);
  return v;
}
inline int32_t reduce_add_i32(const I32x16& a) {
  int32_t sum = 0;
  for (const int32_t lane : a.lane) sum += lane;
  return sum;
}
// 16 bytes, unsigned or signed, to lanes; and the lowest byte of each lane to memory.
[[gnu::noinline]] I32x16 load_u8(const uint8_t* from) {
  I32x16 v;
  for (int i = 0; i < 16; ++i) v.lane[i] = from[i];
  return v;
}
[[gnu::noinline]] I32x16 load_i8(const uint8_t* from) {
  I32x16 v;
  for (int i = 0; i < 16; ++i) v.lane[i] = static_cast<int8_t>(from[i]);
  return v;
}
inline void store_i8(int8_t* to, const I32x16& v) {
  for (int i = 0; i < 16; ++i) to[i] = static_cast<int8_t>(v.lane[i]);
}
// Bits [From, From + Width) of each lane.
template <int From, int Width>
[[gnu::noinline]] I32x16 bits_i32(I32x16 v) {
  for (int32_t& lane : v.lane) lane = lane >> From & ((1 << Width) - 1);
  return v;
}
// Lane = even | odd << 16, for dot_i16().
[[gnu::noinline]] I32x16 pair_i16(I32x16 even, const I32x16& odd) {
  for (int i = 0; i < 16; ++i) even.lane[i] |= odd.lane[i] << 16;
  return even;
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
// Shifts to the right within at least each byte: what comes in from above is undefined.
[[gnu::noinline]] U8x64 shift_right(U8x64 v, int n) {
  for (uint8_t& byte : v.byte) byte = static_cast<uint8_t>(byte >> n);
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

// sums[m] += codes · a[m]: sixteen columns of sixteen rows times 16 int8 activations. w[u] holds,
// in the bytes of its lanes, columns 4u to 4u + 3. Bits says how large the codes are: 8 means any
// byte.
template <int Bits, int M>
[[gnu::noinline]] void dot16(I32x16 (&sums)[M], const U8x64 (&w)[4], const int8_t* const (&a)[M]) {
  for (int m = 0; m < M; ++m) {
    for (int i = 0; i < 16; ++i) {
      for (int k = 0; k < 16; ++k) sums[m].lane[i] += w[k / 4].byte[4 * i + k % 4] * a[m][k];
    }
  }
}

// Asks for a line of memory, into L2. Any address will do.
inline void prefetch(const void* /*address*/) {}
