// The most that an instruction set can multiply, as yardsticks. Included by table_*.cpp inside
// their anonymous namespace and target region.

// Sums under way at once: more than the latency of the instructions times their number per cycle,
// as far as registers go: 5 cycles and 2 per cycle are common.
constexpr int kPeakSums = kRegisters == 1 ? 16 : 4;

// 64 bytes times 64 bytes for each sum and step, from registers.
template <int Bits>
uint64_t peak_int(size_t n_steps) {
  SubSum sums[kPeakSums];
#pragma GCC unroll 16
  for (int i = 0; i < kPeakSums; ++i) sums[i] = set1_i32(0);
  U8x64 a = set1_bytes(3);
  const U8x64 b = set1_bytes(5);
  for (size_t step = 0; step < n_steps; ++step) {
#pragma GCC unroll 16
    for (int i = 0; i < kPeakSums; ++i) {
      hide(a);  // new numbers for each sum, as far as the compiler knows
      sums[i] = add_products_of<Bits>(sums[i], a, b);
      hide(sums[i]);  // stays in its register
    }
  }
#pragma GCC unroll 16
  for (int i = 1; i < kPeakSums; ++i) sums[0] = add_i32(sums[0], sums[i]);
  hide(sums[0]);
  return n_steps * kPeakSums * 2 * 64;
}

uint64_t peak_f32(size_t n_steps) {
  F32x16 sums[kPeakSums];
#pragma GCC unroll 16
  for (int i = 0; i < kPeakSums; ++i) sums[i] = set1(0);
  F32x16 a = set1(0.5f);
  const F32x16 b = set1(0.25f);
  for (size_t step = 0; step < n_steps; ++step) {
#pragma GCC unroll 16
    for (int i = 0; i < kPeakSums; ++i) {
      hide(a);
      sums[i] = fma(a, b, sums[i]);
      hide(sums[i]);
    }
  }
#pragma GCC unroll 16
  for (int i = 1; i < kPeakSums; ++i) sums[0] = add(sums[0], sums[i]);
  hide(sums[0]);
  return n_steps * kPeakSums * 2 * 16;
}
