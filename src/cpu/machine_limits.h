// What this machine can do at most, measured: the yardsticks that speeds are compared with.
#pragma once

#include <cstddef>

#include "core/cpu_features.h"
#include "quant/type.h"

namespace mixtral {

/// Of all threads together. 10^9 bytes, or multiplications and additions, per second.
struct MachineLimits {
  double read_gb_per_s = 0;   ///< from memory, far more than the caches hold
  double peak_int8_gops = 0;  ///< bytes that use all their bits
  double peak_int4_gops =
      0;  ///< bytes that hold narrow codes: AVX2 needs fewer instructions for them
  double peak_f32_gflops = 0;

  /// What bounds the multiplications with weights of this type.
  double peak_gops(Type type) const;
};

/// Takes about a second and 512 MB of memory for a moment. `isa` must be supported here.
MachineLimits measure_machine_limits(size_t n_threads, Isa isa);

}  // namespace mixtral
