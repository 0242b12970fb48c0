// The fit of fit_scale-inl.h for formats with a base: w = scale * code + base.
#pragma once

#include "quant/fit_scale-inl.h"

namespace mixtral::internal {

/// A weight is scale * code + base, code in [0, MaxCode].
struct Line {
  float scale, base;
};

/// Weighted sums over a sub-block with q the code and e = x - (scale * q + base).
struct LineSums {
  float w, q, qq, e, eq, ee;
};

/// `inverse` is 1 / line.scale, or 0.
template <int MaxCode, class F>
F nearest_code(F x, Line line, float inverse) {
  return round_small(clamp((x - line.base) * inverse, 0, static_cast<float>(MaxCode)));
}

template <int MaxCode, size_t N>
LineSums line_sums(const float* x, const float* w, Line line) {
  const float inverse = line.scale != 0 ? 1 / line.scale : 0;
  Vec sw{}, sq{}, sqq{}, se{}, seq{}, see{};
  for (size_t i = 0; i < N; i += kLanes) {
    const Vec xs = load(x + i), ws = load(w + i);
    const Vec q = nearest_code<MaxCode>(xs, line, inverse);
    const Vec e = xs - (line.scale * q + line.base);
    const Vec wq = ws * q;
    const Vec we = ws * e;
    sw += ws;
    sq += wq;
    sqq += wq * q;
    se += we;
    seq += we * q;
    see += we * e;
  }
  return {sum(sw), sum(sq), sum(sqq), sum(se), sum(seq), sum(see)};
}

/// The line that suits the codes behind `sums` best, with base <= 0 if `base_below_zero`.
inline Line corrected(Line line, const LineSums& sums, bool base_below_zero) {
  const float det = sums.w * sums.qq - sums.q * sums.q;
  Line better = {line.scale, line.base + sums.e / sums.w};  // if all codes are equal
  if (det > 0) {
    better.scale = line.scale + (sums.w * sums.eq - sums.q * sums.e) / det;
    better.base = line.base + (sums.qq * sums.e - sums.q * sums.eq) / det;
  }
  if (base_below_zero && better.base > 0) {
    better.base = 0;
    if (sums.qq > 0) better.scale = line.scale + (sums.eq + line.base * sums.q) / sums.qq;
  }
  better.scale = std::max(better.scale, 0.0f);
  return better;
}

/// The line that suits N weights best; its scale is not negative. With `base_below_zero` its base
/// is not positive.
template <int MaxCode, size_t N>
Line fit_line(const float* x, const float* w, bool base_below_zero) {
  const auto [lowest, highest] = std::minmax_element(x, x + N);
  const float low = base_below_zero ? std::min(*lowest, 0.0f) : *lowest;
  const float step = (*highest - low) / MaxCode;
  Line best = {std::max(step, 0.0f), low};
  if (step <= 0) return best;
  float best_error = line_sums<MaxCode, N>(x, w, best).ee;
  // Leaving the outermost weights outside by part of a step often pays for the others.
  constexpr float kInset = MaxCode > 3 ? 0.5f : 0.2f;
  for (int below = -1; below < 3; ++below) {
    for (int above = -1; above < 3; ++above) {
      const float inset = kInset * static_cast<float>(below + above) / MaxCode;
      Line line = {step - step * inset, low + step * kInset * static_cast<float>(below)};
      if (base_below_zero) line.base = std::min(line.base, 0.0f);
      LineSums sums = line_sums<MaxCode, N>(x, w, line);
      for (int round = 0; round < 2; ++round) {
        line = corrected(line, sums, base_below_zero);
        sums = line_sums<MaxCode, N>(x, w, line);
        if (sums.ee >= best_error) continue;
        best_error = sums.ee;
        best = line;
      }
    }
  }
  return best;
}

}  // namespace mixtral::internal
