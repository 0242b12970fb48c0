// Blocks of 256 weights whose sub-blocks have a scale and a min each: Q2_K, Q4_K, Q5_K.
#include <limits>

#include "quant/codes.h"
#include "quant/fit_line-inl.h"
#include "quant/pack_block.h"

namespace mixtral::internal {
namespace {

// A weight of sub-block s is (d * scales[s]) * code - (dmin * mins[s]).
template <size_t N>
struct Lines {
  float d = 0, dmin = 0;
  std::array<uint8_t, 256 / N> scales{}, mins{};
  float error = std::numeric_limits<float>::infinity();

  Line line(size_t s) const { return line(scales[s], mins[s]); }
  Line line(float scale, float min) const { return {d * scale, -(dmin * min)}; }
};

// Weighted sums over a block with e the error, p = scale * code and m = min: what d and dmin
// multiply.
struct BlockSums {
  float pp = 0, pm = 0, mm = 0, ep = 0, em = 0;

  void add(const LineSums& sums, float scale, float min) {
    pp += sums.qq * scale * scale;
    pm += sums.q * scale * min;
    mm += sums.w * min * min;
    ep += sums.eq * scale;
    em += sums.e * min;
  }
  // Least squares for x = d * p - dmin * m.
  void correct(float& d, float& dmin) const {
    const float det = pp * mm - pm * pm;
    if (det > 1e-6f * pp * mm) {
      d += (mm * ep - pm * em) / det;
      dmin += (pm * ep - pp * em) / det;
    } else if (pp > 0) {
      d += ep / pp;
    }
    d = to_f16_unit(std::max(d, 0.0f));
    dmin = to_f16_unit(std::max(dmin, 0.0f));
  }
};

float stored(float wanted, float unit, int offset, int limit) {
  const float nearest =
      unit > 0 ? round_small(clamp(wanted / unit, 0, static_cast<float>(limit))) : 0;
  return clamp(nearest + static_cast<float>(offset), 0, static_cast<float>(limit));
}

// The best integers for given d and dmin, each one of the three nearest to what is wanted.
template <int MaxCode, size_t N, int Limit>
BlockSums assign(const float* x, const float* w, const std::array<Line, 256 / N>& wanted,
                 Lines<N>& out) {
  BlockSums total;
  out.error = 0;
  for (size_t s = 0; s < wanted.size(); ++s) {
    LineSums best{};
    best.ee = std::numeric_limits<float>::infinity();
    for (int i = 0; i < 9; ++i) {
      const float scale = stored(wanted[s].scale, out.d, i % 3 - 1, Limit);
      const float min = stored(-wanted[s].base, out.dmin, i / 3 - 1, Limit);
      const LineSums sums = line_sums<MaxCode, N>(x + s * N, w + s * N, out.line(scale, min));
      if (sums.ee >= best.ee) continue;
      best = sums;
      out.scales[s] = static_cast<uint8_t>(scale);
      out.mins[s] = static_cast<uint8_t>(min);
    }
    out.error += best.ee;
    total.add(best, out.scales[s], out.mins[s]);
  }
  return total;
}

template <int MaxCode, size_t N, int Limit>
Lines<N> fit_lines(const float* x, const float* w) {
  std::array<Line, 256 / N> wanted;
  Line largest = {0, 0};
  for (size_t s = 0; s < wanted.size(); ++s) {
    wanted[s] = fit_line<MaxCode, N>(x + s * N, w + s * N, true);
    largest = {std::max(largest.scale, wanted[s].scale), std::min(largest.base, wanted[s].base)};
  }
  Lines<N> best, trial;
  trial.d = to_f16_unit(largest.scale / Limit);
  trial.dmin = to_f16_unit(-largest.base / Limit);
  for (int round = 0; round < 3; ++round) {
    const BlockSums sums = assign<MaxCode, N, Limit>(x, w, wanted, trial);
    if (trial.error < best.error) best = trial;
    sums.correct(trial.d, trial.dmin);
  }
  return best;
}

template <int MaxCode, size_t N, class Block>
void encode(const float* x, const Lines<N>& fit, Block& block) {
  uint8_t codes[256];
  for (size_t i = 0; i < 256; ++i) {
    const Line line = fit.line(i / N);
    const float inverse = line.scale != 0 ? 1 / line.scale : 0;
    codes[i] = static_cast<uint8_t>(nearest_code<MaxCode>(x[i], line, inverse));
  }
  block.d = f32_to_f16(fit.d);
  block.dmin = f32_to_f16(fit.dmin);
  set_codes(codes, block);
}

}  // namespace

void pack_block(const float* x, const float* w, BlockQ2_K& block) {
  const Lines<16> fit = fit_lines<3, 16, 15>(x, w);
  encode<3>(x, fit, block);
  for (size_t s = 0; s < 16; ++s)
    block.scales[s] = static_cast<uint8_t>(fit.scales[s] | fit.mins[s] << 4);
}

void pack_block(const float* x, const float* w, BlockQ4_K& block) {
  const Lines<32> fit = fit_lines<15, 32, 63>(x, w);
  encode<15>(x, fit, block);
  set_k_scales({fit.scales, fit.mins}, block.scales);
}

void pack_block(const float* x, const float* w, BlockQ5_K& block) {
  const Lines<32> fit = fit_lines<31, 32, 63>(x, w);
  encode<31>(x, fit, block);
  set_k_scales({fit.scales, fit.mins}, block.scales);
}

}  // namespace mixtral::internal
