// Blocks of 256 weights whose sub-blocks have a signed scale each: Q3_K, Q6_K, IQ4_XS.
#include <limits>

#include "quant/codes.h"
#include "quant/fit_scale-inl.h"
#include "quant/pack_block.h"

namespace mixtral::internal {
namespace {

// The scale of sub-block s is d * scales[s].
template <size_t N>
struct Scales {
  float d = 0;
  std::array<int8_t, 256 / N> scales{};
  float error = std::numeric_limits<float>::infinity();
};

// The best integer scales for a given d, one of the two or three nearest to the wanted scale each.
// Returns what d should be corrected by for these scales and their levels.
template <class Levels, size_t N, int Limit>
float assign(const float* x, const float* w, const std::array<float, 256 / N>& wanted,
             Scales<N>& out) {
  float error = 0, el = 0, ll = 0;
  for (size_t s = 0; s < wanted.size(); ++s) {
    const float middle = round_small(clamp(wanted[s] / out.d, -Limit, Limit - 1));
    ScaleSums best{std::numeric_limits<float>::infinity(), 0, 0};
    for (int offset = -1; offset <= 1; ++offset) {
      const float scale = clamp(middle + static_cast<float>(offset), -Limit, Limit - 1);
      const ScaleSums sums = scale_sums<Levels, N>(x + s * N, w + s * N, out.d * scale);
      if (sums.ee >= best.ee) continue;
      best = {sums.ee, sums.el * scale, sums.ll * scale * scale};
      out.scales[s] = static_cast<int8_t>(scale);
    }
    error += best.ee;
    el += best.el;
    ll += best.ll;
  }
  out.error = error;
  return ll > 0 ? el / ll : 0;
}

template <class Levels, size_t N, int Limit>
Scales<N> fit_scales(const float* x, const float* w) {
  std::array<float, 256 / N> wanted;
  for (size_t s = 0; s < wanted.size(); ++s) wanted[s] = fit_scale<Levels, N>(x + s * N, w + s * N);
  const float largest = extreme(wanted.data(), wanted.size());
  Scales<N> best;
  // The largest scale is stored as -Limit or a little nearer to 0: the others may fit better so.
  for (int start = 0; start < Limit / 4; start += Limit / 32) {
    Scales<N> trial;
    trial.d = to_f16_unit(largest / static_cast<float>(start - Limit));
    for (int round = 0; round < 2 && trial.d != 0; ++round) {
      const float correction = assign<Levels, N, Limit>(x, w, wanted, trial);
      if (trial.error < best.error) best = trial;
      trial.d = to_f16_unit(trial.d + correction);
    }
  }
  return best;
}

template <class Levels, size_t N, class Block>
void encode(const float* x, const Scales<N>& fit, Block& block) {
  uint8_t codes[256];
  for (size_t i = 0; i < 256; ++i) {
    const float scale = fit.d * static_cast<float>(fit.scales[i / N]);
    const float inverse = scale != 0 ? 1 / scale : 0;
    codes[i] = Levels::code(Levels::nearest(x[i] * inverse));
  }
  block.d = f32_to_f16(fit.d);
  set_codes(codes, block);
}

}  // namespace

void pack_block(const float* x, const float* w, BlockQ3_K& block) {
  const Scales<16> fit = fit_scales<Q3Levels, 16, 32>(x, w);
  encode<Q3Levels>(x, fit, block);
  set_q3_scales(fit.scales, block.scales);
}

void pack_block(const float* x, const float* w, BlockQ6_K& block) {
  const Scales<16> fit = fit_scales<Q6Levels, 16, 128>(x, w);
  encode<Q6Levels>(x, fit, block);
  std::copy(fit.scales.begin(), fit.scales.end(), block.scales);
}

void pack_block(const float* x, const float* w, BlockIQ4_XS& block) {
  const Scales<32> fit = fit_scales<Iq4Levels, 32, 32>(x, w);
  encode<Iq4Levels>(x, fit, block);
  set_iq4_scales(fit.scales, block);
}

}  // namespace mixtral::internal
