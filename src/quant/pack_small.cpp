// Blocks of 32 weights with a scale (and a base) of their own.
#include "quant/codes.h"
#include "quant/fit_line-inl.h"
#include "quant/pack_block.h"

namespace mixtral::internal {
namespace {

// The F16 scale that suits 32 weights best: the search's, or the plain one where rounding to F16
// spoiled the other.
template <class Levels>
float stored_scale(const float* x, const float* w) {
  const float searched = to_f16_range(fit_scale<Levels, 32>(x, w));
  const float plain = to_f16_range(extreme(x, 32) / Levels::kPlain);
  const bool keep =
      scale_sums<Levels, 32>(x, w, searched).ee <= scale_sums<Levels, 32>(x, w, plain).ee;
  return keep ? searched : plain;
}

template <class Levels, class Block>
void pack_scaled(const float* x, const float* w, Block& block) {
  const float scale = stored_scale<Levels>(x, w);
  const float inverse = scale != 0 ? 1 / scale : 0;
  block.d = f32_to_f16(scale);
  if constexpr (requires { get_codes(block, nullptr); }) {
    uint8_t codes[32];
    for (size_t i = 0; i < 32; ++i) codes[i] = Levels::code(Levels::nearest(x[i] * inverse));
    set_codes(codes, block);
  } else {
    for (size_t i = 0; i < 32; ++i)
      block.qs[i] = static_cast<int8_t>(Levels::nearest(x[i] * inverse));
  }
}

template <int MaxCode>
Line stored_line(const float* x, const float* w) {
  const auto [lowest, highest] = std::minmax_element(x, x + 32);
  const float range = *highest - *lowest, base = to_f16_range(*lowest);
  Line searched = fit_line<MaxCode, 32>(x, w, false);
  // The base is rounded first, so that the scale can make up for it.
  searched.base = to_f16_range(searched.base);
  const LineSums sums = line_sums<MaxCode, 32>(x, w, searched);
  if (sums.qq > 0) searched.scale = std::max(searched.scale + sums.eq / sums.qq, 0.0f);
  searched.scale = to_f16_range(searched.scale);
  // The plain line, where rounding to F16 spoiled the search's, and the one that hits every level
  // of weights that had half as many before.
  const Line others[] = {{to_f16_range(range / MaxCode), base},
                         {to_f16_range(range / (MaxCode - 1)), base}};
  Line best = searched;
  float best_error = line_sums<MaxCode, 32>(x, w, best).ee;
  for (const Line& line : others) {
    const float error = line_sums<MaxCode, 32>(x, w, line).ee;
    if (error >= best_error) continue;
    best_error = error;
    best = line;
  }
  return best;
}

template <int MaxCode, class Block>
void pack_line(const float* x, const float* w, Block& block) {
  const Line line = stored_line<MaxCode>(x, w);
  const float inverse = line.scale != 0 ? 1 / line.scale : 0;
  block.d = f32_to_f16(line.scale);
  block.m = f32_to_f16(line.base);
  uint8_t codes[32];
  for (size_t i = 0; i < 32; ++i)
    codes[i] = static_cast<uint8_t>(nearest_code<MaxCode>(x[i], line, inverse));
  set_codes(codes, block);
}

}  // namespace

void pack_block(const float* x, const float* w, BlockQ4_0& block) {
  pack_scaled<Q4Levels>(x, w, block);
}
void pack_block(const float* x, const float* w, BlockQ5_0& block) {
  pack_scaled<Q5Levels>(x, w, block);
}
void pack_block(const float* x, const float* w, BlockQ8_0& block) {
  pack_scaled<Q8Levels>(x, w, block);
}
void pack_block(const float* x, const float* w, BlockIQ4_NL& block) {
  pack_scaled<Iq4Levels>(x, w, block);
}
void pack_block(const float* x, const float* w, BlockQ4_1& block) { pack_line<15>(x, w, block); }
void pack_block(const float* x, const float* w, BlockQ5_1& block) { pack_line<31>(x, w, block); }

}  // namespace mixtral::internal
