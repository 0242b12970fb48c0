// What the AVX-512 instructions do that src/cpu/kernels/simd_avx512_*.h and its companions use,
// lane by lane, after the Intel Intrinsics Guide; and macros that put these in their places. For
// the *_twin.cpp alone, after every other header. They stay calls: inlined, the kernels would take
// many minutes to compile.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/half.h"
#include "cpu/kernels/intrinsics.h"

namespace mixtral::cpu::twin {

struct alignas(64) Vec {
  std::array<uint8_t, 64> bytes;

  template <class T>
  std::array<T, 64 / sizeof(T)> as() const {
    return std::bit_cast<std::array<T, 64 / sizeof(T)>>(bytes);
  }
  template <class T>
  static Vec of(const std::array<T, 64 / sizeof(T)>& lanes) {
    return {std::bit_cast<std::array<uint8_t, 64>>(lanes)};
  }
};
struct Floats : Vec {};
struct Ints : Vec {};

template <class T, class Out, class F>
[[gnu::noinline]] Out each(const Vec& a, F function) {
  auto lanes = a.as<T>();
  for (T& lane : lanes) lane = static_cast<T>(function(lane));
  return {Vec::of<T>(lanes)};
}
template <class T, class Out, class F>
[[gnu::noinline]] Out each(const Vec& a, const Vec& b, F function) {
  auto x = a.as<T>();
  const auto y = b.as<T>();
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(function(x[i], y[i]));
  return {Vec::of<T>(x)};
}
template <class T, class Out>
[[gnu::noinline]] Out all(T value) {
  std::array<T, 64 / sizeof(T)> lanes;
  lanes.fill(value);
  return {Vec::of<T>(lanes)};
}

// ---- Memory

[[gnu::noinline]] inline Floats load_ps(const void* from) {
  Floats v;
  std::memcpy(v.bytes.data(), from, 64);
  return v;
}
[[gnu::noinline]] inline Ints load_i(const void* from) { return {load_ps(from)}; }
[[gnu::noinline]] inline void store(void* to, const Vec& v) { std::memcpy(to, v.bytes.data(), 64); }
[[gnu::noinline]] inline Floats maskz_load_ps(uint16_t mask, const void* from) {
  std::array<float, 16> lanes{};
  for (size_t i = 0; i < 16; ++i) {
    if (mask >> i & 1) std::memcpy(&lanes[i], static_cast<const float*>(from) + i, 4);
  }
  return {Vec::of<float>(lanes)};
}
[[gnu::noinline]] inline void mask_store_ps(void* to, uint16_t mask, const Floats& v) {
  const auto lanes = v.as<float>();
  for (size_t i = 0; i < 16; ++i) {
    if (mask >> i & 1) std::memcpy(static_cast<float*>(to) + i, &lanes[i], 4);
  }
}
[[gnu::noinline]] inline __m256i maskz_load_halves(uint16_t mask, const void* from) {
  std::array<uint16_t, 16> lanes{};
  for (size_t i = 0; i < 16; ++i) {
    if (mask >> i & 1) std::memcpy(&lanes[i], static_cast<const uint16_t*>(from) + i, 2);
  }
  __m256i v;
  std::memcpy(&v, lanes.data(), 32);
  return v;
}
[[gnu::noinline]] inline void mask_store_halves(void* to, uint16_t mask, const __m256i& v) {
  std::array<uint16_t, 16> lanes;
  std::memcpy(lanes.data(), &v, 32);
  for (size_t i = 0; i < 16; ++i) {
    if (mask >> i & 1) std::memcpy(static_cast<uint16_t*>(to) + i, &lanes[i], 2);
  }
}

// ---- Floats

[[gnu::noinline]] inline Floats fmadd(const Floats& a, const Floats& b, const Floats& c) {
  const auto x = a.as<float>(), y = b.as<float>();
  auto z = c.as<float>();
  for (size_t i = 0; i < 16; ++i) z[i] = std::fma(x[i], y[i], z[i]);
  return {Vec::of<float>(z)};
}
inline float scale(float x, float exponent) {
  return std::isnan(exponent) ? exponent : std::scalbn(x, static_cast<int>(std::floor(exponent)));
}
// Control bits 2 i and 2 i + 1 choose the lane of its 128 bits that comes to lane i.
[[gnu::noinline]] inline Floats permute(const Floats& v, int control) {
  const auto from = v.as<float>();
  std::array<float, 16> to;
  for (size_t i = 0; i < 16; ++i) to[i] = from[i / 4 * 4 + (control >> (2 * (i % 4)) & 3)];
  return {Vec::of<float>(to)};
}
// Parts of 128 bits: the lower two from a, the upper two from b.
[[gnu::noinline]] inline Floats shuffle_parts(const Floats& a, const Floats& b, int control) {
  const auto x = a.as<float>(), y = b.as<float>();
  std::array<float, 16> to;
  for (size_t i = 0; i < 16; ++i) {
    const size_t part = i / 4, from = static_cast<size_t>(control >> (2 * part) & 3);
    to[i] = (part < 2 ? x : y)[from * 4 + i % 4];
  }
  return {Vec::of<float>(to)};
}
[[gnu::noinline]] inline Floats blend(uint16_t mask, const Floats& a, const Floats& b) {
  auto lanes = a.as<float>();
  const auto other = b.as<float>();
  for (size_t i = 0; i < 16; ++i) {
    if (mask >> i & 1) lanes[i] = other[i];
  }
  return {Vec::of<float>(lanes)};
}
[[gnu::noinline]] inline Floats from_halves(const __m256i& v) {
  std::array<uint16_t, 16> halves;
  std::memcpy(halves.data(), &v, 32);
  std::array<float, 16> to;
  for (size_t i = 0; i < 16; ++i) to[i] = f16_to_f32(halves[i]);
  return {Vec::of<float>(to)};
}
[[gnu::noinline]] inline __m256i to_halves(const Floats& v) {
  const auto floats = v.as<float>();
  std::array<uint16_t, 16> to;
  for (size_t i = 0; i < 16; ++i) to[i] = f32_to_f16(floats[i]);
  __m256i halves;
  std::memcpy(&halves, to.data(), 32);
  return halves;
}

// ---- Integers

template <class To, class From, class Narrow>
[[gnu::noinline]] Ints widen(const Narrow& v) {
  constexpr size_t kLanes = 64 / sizeof(To);
  std::array<From, sizeof(Narrow) / sizeof(From)> from;
  std::memcpy(from.data(), &v, sizeof(v));
  std::array<To, kLanes> to;
  for (size_t i = 0; i < kLanes; ++i) to[i] = static_cast<To>(from[i]);
  return {Vec::of<To>(to)};
}
[[gnu::noinline]] inline __m128i narrow_to_bytes(const Ints& v) {
  const auto from = v.as<int32_t>();
  std::array<uint8_t, 16> to;
  for (size_t i = 0; i < 16; ++i) to[i] = static_cast<uint8_t>(from[i]);
  __m128i bytes;
  std::memcpy(&bytes, to.data(), 16);
  return bytes;
}
[[gnu::noinline]] inline Ints broadcast_part(const __m128i& part) {
  Ints v;
  for (size_t i = 0; i < 4; ++i) std::memcpy(v.bytes.data() + 16 * i, &part, 16);
  return v;
}
[[gnu::noinline]] inline Ints shuffle_bytes(const Ints& table, const Ints& index) {
  Ints to;
  for (size_t i = 0; i < 64; ++i) {
    const uint8_t at = index.bytes[i];
    to.bytes[i] = at & 0x80 ? uint8_t{0} : table.bytes[i / 16 * 16 + (at & 15)];
  }
  return to;
}
inline Ints four(int32_t d, int32_t c, int32_t b, int32_t a) {
  return {Vec::of<int32_t>({a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d})};
}

// Unsigned bytes of a times signed bytes of b, four neighbours added to each lane.
[[gnu::noinline]] inline Ints dot_bytes(const Ints& sum, const Ints& a, const Ints& b) {
  auto lanes = sum.as<int32_t>();
  const auto y = b.as<int8_t>();
  for (size_t i = 0; i < 64; ++i) lanes[i / 4] += a.bytes[i] * y[i];
  return {Vec::of<int32_t>(lanes)};
}
[[gnu::noinline]] inline Ints dot_words(const Ints& sum, const Ints& a, const Ints& b) {
  auto lanes = sum.as<int32_t>();
  const auto x = a.as<int16_t>(), y = b.as<int16_t>();
  for (size_t i = 0; i < 32; ++i) lanes[i / 2] += x[i] * y[i];
  return {Vec::of<int32_t>(lanes)};
}
[[gnu::noinline]] inline Ints shift_signed(const Ints& v, int n) {
  return each<int32_t, Ints>(v, [n](int32_t lane) { return lane >> n; });
}

}  // namespace mixtral::cpu::twin

#define __m512 ::mixtral::cpu::twin::Floats
#define __m512i ::mixtral::cpu::twin::Ints
#define __mmask16 uint16_t

// Compilers are free to have these as macros of their own.
#undef _mm512_permute_ps
#undef _mm512_shuffle_f32x4
#undef _mm512_cvtps_ph

#define MIXTRAL_TWIN ::mixtral::cpu::twin
#define _mm512_loadu_ps(from) MIXTRAL_TWIN::load_ps(from)
#define _mm512_loadu_si512(from) MIXTRAL_TWIN::load_i(from)
#define _mm512_storeu_ps(to, v) MIXTRAL_TWIN::store(to, v)
#define _mm512_storeu_si512(to, v) MIXTRAL_TWIN::store(to, v)
#define _mm512_maskz_loadu_ps(mask, from) MIXTRAL_TWIN::maskz_load_ps(mask, from)
#define _mm512_mask_storeu_ps(to, mask, v) MIXTRAL_TWIN::mask_store_ps(to, mask, v)
#define _mm256_maskz_loadu_epi16(mask, from) MIXTRAL_TWIN::maskz_load_halves(mask, from)
#define _mm256_mask_storeu_epi16(to, mask, v) MIXTRAL_TWIN::mask_store_halves(to, mask, v)

#define _mm512_set1_ps(x) (MIXTRAL_TWIN::all<float, MIXTRAL_TWIN::Floats>(x))
#define _mm512_set1_epi8(x) (MIXTRAL_TWIN::all<int8_t, MIXTRAL_TWIN::Ints>(static_cast<int8_t>(x)))
#define _mm512_set1_epi16(x) \
  (MIXTRAL_TWIN::all<int16_t, MIXTRAL_TWIN::Ints>(static_cast<int16_t>(x)))
#define _mm512_set1_epi32(x) (MIXTRAL_TWIN::all<int32_t, MIXTRAL_TWIN::Ints>(x))
#define _mm512_set4_epi32(d, c, b, a) (MIXTRAL_TWIN::four(d, c, b, a))

#define MIXTRAL_TWIN_FLOATS(a, b, result) \
  (MIXTRAL_TWIN::each<float, MIXTRAL_TWIN::Floats>(a, b, [](float x, float y) { return result; }))
#define _mm512_add_ps(a, b) MIXTRAL_TWIN_FLOATS(a, b, x + y)
#define _mm512_sub_ps(a, b) MIXTRAL_TWIN_FLOATS(a, b, x - y)
#define _mm512_mul_ps(a, b) MIXTRAL_TWIN_FLOATS(a, b, x* y)
#define _mm512_div_ps(a, b) MIXTRAL_TWIN_FLOATS(a, b, x / y)
#define _mm512_max_ps(a, b) MIXTRAL_TWIN_FLOATS(a, b, x > y ? x : y)
#define _mm512_min_ps(a, b) MIXTRAL_TWIN_FLOATS(a, b, x < y ? x : y)
#define _mm512_abs_ps(a) \
  (MIXTRAL_TWIN::each<float, MIXTRAL_TWIN::Floats>(a, [](float x) { return std::fabs(x); }))
#define _mm512_fmadd_ps(a, b, c) MIXTRAL_TWIN::fmadd(a, b, c)
#define _mm512_scalef_ps(a, b) MIXTRAL_TWIN_FLOATS(a, b, MIXTRAL_TWIN::scale(x, y))
#define _mm512_mask_blend_ps(mask, a, b) MIXTRAL_TWIN::blend(mask, a, b)
#define _mm512_permute_ps(v, control) MIXTRAL_TWIN::permute(v, control)
#define _mm512_shuffle_f32x4(a, b, control) MIXTRAL_TWIN::shuffle_parts(a, b, control)
#define _mm512_cvtss_f32(v) ((v).as<float>()[0])
#define _mm512_cvtph_ps(v) MIXTRAL_TWIN::from_halves(v)
#define _mm512_cvtps_ph(v, rounding) MIXTRAL_TWIN::to_halves(v)
#define _mm512_castps_si512(v) (MIXTRAL_TWIN::Ints{v})
#define _mm512_castsi512_ps(v) (MIXTRAL_TWIN::Floats{v})

// Wraps around, as the instructions do.
#define MIXTRAL_TWIN_INTS(T, a, b, result) \
  (MIXTRAL_TWIN::each<T, MIXTRAL_TWIN::Ints>(a, b, [](T x, T y) { return result; }))
#define _mm512_add_epi32(a, b) MIXTRAL_TWIN_INTS(uint32_t, a, b, x + y)
#define _mm512_sub_epi32(a, b) MIXTRAL_TWIN_INTS(uint32_t, a, b, x - y)
#define _mm512_mullo_epi32(a, b) MIXTRAL_TWIN_INTS(uint32_t, a, b, x* y)
#define _mm512_sub_epi16(a, b) MIXTRAL_TWIN_INTS(uint16_t, a, b, x - y)
#define _mm512_sub_epi8(a, b) MIXTRAL_TWIN_INTS(uint8_t, a, b, x - y)
#define _mm512_mullo_epi16(a, b) MIXTRAL_TWIN_INTS(int16_t, a, b, x* y)
#define _mm512_and_si512(a, b) MIXTRAL_TWIN_INTS(uint32_t, a, b, x& y)
#define _mm512_or_si512(a, b) MIXTRAL_TWIN_INTS(uint32_t, a, b, x | y)
#define _mm512_xor_si512(a, b) MIXTRAL_TWIN_INTS(uint32_t, a, b, x ^ y)
#define MIXTRAL_TWIN_SHIFT(T, a, result) \
  (MIXTRAL_TWIN::each<T, MIXTRAL_TWIN::Ints>(a, [&](T x) { return result; }))
#define _mm512_slli_epi32(a, n) MIXTRAL_TWIN_SHIFT(uint32_t, a, x << (n))
#define _mm512_srai_epi32(a, n) MIXTRAL_TWIN::shift_signed(a, n)
#define _mm512_srli_epi32(a, n) MIXTRAL_TWIN_SHIFT(uint32_t, a, x >> (n))
#define _mm512_slli_epi16(a, n) MIXTRAL_TWIN_SHIFT(uint16_t, a, x << (n))
#define _mm512_srli_epi16(a, n) MIXTRAL_TWIN_SHIFT(uint16_t, a, x >> (n))
#define _mm512_cvtepi32_ps(v) MIXTRAL_TWIN::to_floats(v)
#define _mm512_cvtepi8_epi32(v) (MIXTRAL_TWIN::widen<int32_t, int8_t>(v))
#define _mm512_cvtepu16_epi32(v) (MIXTRAL_TWIN::widen<int32_t, uint16_t>(v))
#define _mm512_cvtepu8_epi16(v) (MIXTRAL_TWIN::widen<int16_t, uint8_t>(v))
#define _mm512_cvtepi32_epi8(v) MIXTRAL_TWIN::narrow_to_bytes(v)
#define _mm512_broadcast_i32x4(v) MIXTRAL_TWIN::broadcast_part(v)
#define _mm512_shuffle_epi8(table, index) MIXTRAL_TWIN::shuffle_bytes(table, index)
#define _mm512_dpbusd_epi32(sum, a, b) MIXTRAL_TWIN::dot_bytes(sum, a, b)
#define _mm512_dpwssd_epi32(sum, a, b) MIXTRAL_TWIN::dot_words(sum, a, b)

namespace mixtral::cpu::twin {

[[gnu::noinline]] inline Floats to_floats(const Ints& v) {
  const auto from = v.as<int32_t>();
  std::array<float, 16> to;
  for (size_t i = 0; i < 16; ++i) to[i] = static_cast<float>(from[i]);
  return {Vec::of<float>(to)};
}

// In the place of the kernels' own, which want registers.
inline void hide(Ints& v) { asm volatile("" : "+m"(v)); }
inline void hide(Floats& v) { asm volatile("" : "+m"(v)); }
inline void broadcast_loaded(Ints& words, const void* from) {
  int32_t word = 0;
  std::memcpy(&word, from, sizeof(word));
  words = all<int32_t, Ints>(word);
}
inline void add_loaded(Ints& sum, const Ints& w, const int8_t* a) {
  Ints words;
  broadcast_loaded(words, a);
  sum = _mm512_dpbusd_epi32(sum, w, words);
}

}  // namespace mixtral::cpu::twin
