// Angles of the rotary embedding ("RoFormer", arXiv:2104.09864, section 3.4.2), shared by all
// backends.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace mixtral {

struct RopeAngle {
  float cosine, sine;
};

/// theta^(-2i / head_dim) for i in [0, head_dim / 2), rounded to f32 as the models were trained.
inline std::vector<float> rope_frequencies(double theta, size_t head_dim) {
  std::vector<float> frequencies(head_dim / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    frequencies[i] = 1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  return frequencies;
}

/// The product is rounded to f32 too: far into a context the rounding shows, and models learnt with
/// it.
inline RopeAngle rope_angle(float frequency, size_t position) {
  const auto angle = static_cast<double>(static_cast<float>(position) * frequency);
  return {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
}

}  // namespace mixtral
