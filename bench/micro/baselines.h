// What the machine can do at most: the yardsticks of bench_kernels.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mixtral::bench {

/// Reads n bytes (a multiple of 512), 64-byte lines in order.
uint64_t read_bytes(const std::byte* bytes, size_t n);

/// Multiply-add operations of one call of a peak function.
inline constexpr size_t kPeakSteps = 100'000;

/// 512-bit VNNI: kPeakSteps dot products of 64 bytes. Needs kAvx512.
int32_t vnni_peak();
/// 256-bit maddubs, madd and add, the AVX2 way: kPeakSteps of 32 bytes. Needs kAvx2.
int32_t maddubs_peak();
/// 512-bit and 256-bit fused multiply-adds of floats, kPeakSteps each.
float fma512_peak();
float fma256_peak();

}  // namespace mixtral::bench
