// The search behind pack(): which scale (and min) lets a sub-block's codes come closest to its
// weights, by weighted squared error.
//
// For a given scale the best codes are known (round), and for given codes the best scale is known
// (least squares). The search starts from a fixed list of scales, takes one such step from each,
// and follows the best one further. Everything is float arithmetic in a fixed order: the same input
// gives the same bytes on every machine. This file fits w = scale * level, fit_line-inl.h adds a
// base.
//
// Numbers handed in must be moderate (see pack.cpp): products of three neither overflow nor vanish.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/half.h"
#include "quant/blocks.h"

namespace mixtral::internal {

// Four floats, one register of any x86-64; scalars take part in its arithmetic as four equal ones.
// Sums have this many lanes, added up at the end, wherever the code runs.
using Vec [[gnu::vector_size(16)]] = float;
inline constexpr size_t kLanes = 4;

inline Vec load(const float* values) {
  Vec vec;
  std::memcpy(&vec, values, sizeof(vec));
  return vec;
}
inline float sum(Vec v) { return (v[0] + v[2]) + (v[1] + v[3]); }

// The helpers below take floats and Vecs alike.
template <class F>
F clamp(F value, float low, float high) {
  const F lows = F{} + low;
  const F highs = F{} + high;
  const F raised = value > lows ? value : lows;  // a NaN becomes low
  return raised > highs ? highs : raised;
}

/// Nearest integer, ties to even; |value| < 2^22.
template <class F>
F round_small(F value) {
  constexpr float kShift = 0x1.8p23f;  // leaves no bits behind the point
  return (value + kShift) - kShift;
}

/// `value` as F16 stores it, saturating instead of becoming infinite.
inline float to_f16_range(float value) {
  return f16_to_f32(f32_to_f16(clamp(value, -65504.0f, 65504.0f)));
}

/// The same for a scale of scales, which must not vanish: integers can make up for its size.
inline float to_f16_unit(float value) {
  const float stored = to_f16_range(value);
  return stored == 0 && value != 0 ? std::copysign(0x1p-24f, value) : stored;
}

/// Where the search for a scale starts: the weight of largest magnitude is put on these levels.
struct Starts {
  float first, step;
  int count;
};

/// The levels Low … High of a linear format; a weight is scale * level.
template <int Low, int High>
struct LinearLevels {
  static constexpr float kPlain = Low;  // the extreme weight's level in plain rounding
  template <class F>
  static F nearest(F t) {
    return round_small(clamp(t, static_cast<float>(Low), static_cast<float>(High)));
  }
  static uint8_t code(float level) { return static_cast<uint8_t>(static_cast<int>(level) - Low); }
};
// The starts include the plain levels themselves, so that weights which are multiples of a scale
// survive exactly.
struct Q3Levels : LinearLevels<-4, 3> {
  static constexpr std::array kStarts = {Starts{-5, 0.125f, 24}};
};
struct Q4Levels : LinearLevels<-8, 7> {
  static constexpr std::array kStarts = {Starts{-9.5f, 0.25f, 20}};
};
struct Q5Levels : LinearLevels<-16, 15> {
  static constexpr std::array kStarts = {Starts{-18, 0.5f, 18}};
};
struct Q6Levels : LinearLevels<-32, 31> {
  static constexpr std::array kStarts = {Starts{-33, 0.5f, 18}};
};
struct Q8Levels : LinearLevels<-128, 127> {
  static constexpr float kPlain = -127;
  static constexpr std::array kStarts = {Starts{-129, 1, 18}};
};

/// The levels of IQ4_NL and IQ4_XS.
struct Iq4Levels {
  static constexpr float kPlain = -127;
  static constexpr std::array kStarts = {Starts{-139, 4, 19}, Starts{125, -4, 17}};
  static float nearest(float t) { return static_cast<float>(kIq4Values[code(t)]); }
  static Vec nearest(Vec t) {
    return Vec{nearest(t[0]), nearest(t[1]), nearest(t[2]), nearest(t[3])};
  }
  static uint8_t code(float t);
};

/// Codes of t in [-128, 128) by half units: midpoints between levels are whole or half numbers.
inline constexpr std::array<uint8_t, 512> kIq4Codes = [] {
  std::array<uint8_t, 512> codes{};
  for (int half = 0; half < 512; ++half) {
    uint8_t code = 0;
    while (code < 15 && half - 256 >= kIq4Values[code] + kIq4Values[code + 1]) ++code;
    codes[static_cast<size_t>(half)] = code;
  }
  return codes;
}();

inline uint8_t Iq4Levels::code(float t) {
  return kIq4Codes[static_cast<size_t>(clamp(2 * t + 256, 0, 511))];
}

/// Weighted sums over a sub-block with e = x - scale * level: of e², of e * level and of level².
struct ScaleSums {
  float ee, el, ll;
  /// The scale that suits these levels best is the present one plus this.
  float correction() const { return ll > 0 ? el / ll : 0; }
  /// The error that it leaves.
  float corrected_error() const { return ee - el * correction(); }
};

template <class Levels, size_t N>
ScaleSums scale_sums(const float* x, const float* w, float scale) {
  const float inverse = scale != 0 ? 1 / scale : 0;
  Vec ee{}, el{}, ll{};
  for (size_t i = 0; i < N; i += kLanes) {
    const Vec xs = load(x + i), ws = load(w + i);
    const Vec level = Levels::nearest(xs * inverse);
    const Vec e = xs - scale * level;
    const Vec we = ws * e;
    ee += we * e;
    el += we * level;
    ll += ws * level * level;
  }
  return {sum(ee), sum(el), sum(ll)};
}

/// The element of largest magnitude, with its sign.
inline float extreme(const float* x, size_t n) {
  float found = 0;
  for (size_t i = 0; i < n; ++i) found = std::abs(x[i]) > std::abs(found) ? x[i] : found;
  return found;
}

/// The scale, of either sign, that suits N weights best; 0 if all are 0.
template <class Levels, size_t N>
float fit_scale(const float* x, const float* w) {
  const float largest = extreme(x, N);
  if (largest == 0) return 0;
  float best_scale = largest / Levels::kPlain;
  float best_error = scale_sums<Levels, N>(x, w, best_scale).ee;
  for (const Starts& starts : Levels::kStarts) {
    for (int i = 0; i < starts.count; ++i) {
      const float scale = largest / (starts.first + static_cast<float>(i) * starts.step);
      const ScaleSums sums = scale_sums<Levels, N>(x, w, scale);
      if (sums.corrected_error() >= best_error) continue;
      best_error = sums.corrected_error();
      best_scale = scale + sums.correction();
    }
  }
  const ScaleSums sums = scale_sums<Levels, N>(x, w, best_scale);
  return best_scale + sums.correction();
}

}  // namespace mixtral::internal
