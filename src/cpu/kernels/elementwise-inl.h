// Operations on single rows. Included by table_*.cpp inside their anonymous namespace and target
// region.

// Rounds to the nearest integer, ties to even, for |x| < 2^22: adding 1.5 * 2^23 leaves the integer
// in the lowest bits of the mantissa.
[[gnu::always_inline]] inline I32x16 round_to_i32(F32x16 x) {
  return sub_i32(bits_of(add(x, set1(0x1.8p23f))), set1_i32(0x4B400000));
}

// e^x within 2 units in the last place; 0 below -104, infinity above 89, NaN for NaN. With n the
// multiple of ln 2 nearest to x, e^x = 2^n e^r, and e^r = 1 + r + r^2 q(r) where q is the degree-4
// polynomial of least relative error (3.1e-9) on |r| <= ln 2 / 2.
[[gnu::always_inline]] inline F32x16 exp(F32x16 x) {
  x = min(set1(89.0f), max(set1(-104.0f), x));
  const F32x16 n = sub(add(mul(x, set1(0x1.715476p0f)), set1(0x1.8p23f)), set1(0x1.8p23f));
  F32x16 r = fma(n, set1(-0x1.62e4p-1f), x);  // ln 2 in two parts
  r = fma(n, set1(-0x1.7f7d1cp-20f), r);
  F32x16 q = set1(0.0013814320554956794f);
  q = fma(q, r, set1(0.008368851616978645f));
  q = fma(q, r, set1(0.041668400168418884f));
  q = fma(q, r, set1(0.1666651964187622f));
  q = fma(q, r, set1(0.4999999403953552f));
  const F32x16 power = add(fma(mul(r, r), q, r), set1(1.0f));
  return times_power_of_2(power, n);
}

// Quantises `cols` = 32 or 256 columns that share a scale. Rows below the smallest normal scale are
// zero: 1 / scale must be finite. A column that is not finite makes the scale NaN, and so all that
// the block is multiplied with: a broken row must not pass for a good one.
void quantise_block(const float* x, size_t cols, int8_t* quants, float* scale) {
  F32x16 largest = set1(0), zeros_or_nan = set1(0);
  for (size_t i = 0; i < cols; i += 16) {
    const F32x16 part = load(x + i);
    largest = max(abs(part), largest);
    zeros_or_nan = fma(part, set1(0), zeros_or_nan);
  }
  *scale = reduce_max(largest) / 127.0f;
  float inverse = 1.0f / *scale;
  if (*scale < 0x1p-126f) *scale = inverse = 0.0f;
  *scale += reduce_add(zeros_or_nan);
  for (size_t i = 0; i < cols; i += 16)
    store_i8(quants + i, round_to_i32(mul(load(x + i), set1(inverse))));
}

void quantise_for_256(const float* x, size_t cols, ChunkQ8x256& chunk) {
  quantise_block(x, cols, chunk.quants, &chunk.scale);
  chunk.sum = 0;
  for (size_t i = 0; i < cols / 16; ++i) {
    pair_sums(chunk.quants + 16 * i, chunk.pairs[i]);
    int16_t of_8[2];
    sums_of_8(chunk.quants + 16 * i, of_8);
    chunk.starts_8[2 * i] = static_cast<int16_t>(-32 * of_8[0]);
    chunk.starts_8[2 * i + 1] = static_cast<int16_t>(-32 * of_8[1]);
    chunk.sums_16[i] = static_cast<int16_t>(of_8[0] + of_8[1]);
    chunk.starts_16[i] = static_cast<int16_t>(-16 * chunk.sums_16[i]);
    chunk.starts_from_32[i] = -32 * chunk.sums_16[i];
    chunk.sum += chunk.sums_16[i];
  }
  for (size_t i = 0; i < cols / 32; ++i) {
    chunk.sums_32[i] = static_cast<int16_t>(chunk.sums_16[2 * i] + chunk.sums_16[2 * i + 1]);
    chunk.eightfold_32[i] = static_cast<int16_t>(8 * chunk.sums_32[i]);
    chunk.starts_32[i] = static_cast<int16_t>(-chunk.eightfold_32[i]);
  }
}

void quantise_for_32(const float* x, size_t cols, ChunkQ8x32& chunk) {
  for (size_t i = 0; i < cols / 32; ++i) {
    int8_t* quants = chunk.quants + 32 * i;
    quantise_block(x + 32 * i, 32, quants, chunk.scales + i);
    int16_t second[2];
    pair_sums(quants, chunk.pairs[i]);
    pair_sums(quants + 16, second);
    int16_t* pair = chunk.pairs[i];
    pair[0] = static_cast<int16_t>(pair[0] + second[0]);
    pair[1] = static_cast<int16_t>(pair[1] + second[1]);
    const int32_t sum = pair[0] + pair[1];
    chunk.scaled_sums[i] = chunk.scales[i] * static_cast<float>(sum);
    chunk.starts_from_8[i] = -8 * sum;
    chunk.starts_from_128[i] = -128 * sum;
  }
}

void quantise(ActivationFormat format, const float* x, size_t cols, std::byte* chunk) {
  if (format == ActivationFormat::kQ8x32) {
    quantise_for_32(x, cols, *reinterpret_cast<ChunkQ8x32*>(chunk));
  } else {
    quantise_for_256(x, cols, *reinterpret_cast<ChunkQ8x256*>(chunk));
  }
}

void rms_norm(const float* x, const float* weight, float eps, size_t n, float* y) {
  F32x16 sums[4] = {set1(0), set1(0), set1(0), set1(0)};
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
#pragma GCC unroll 4
    for (size_t s = 0; s < 4; ++s) {
      const F32x16 v = load(x + i + 16 * s);
      sums[s] = fma(v, v, sums[s]);
    }
  }
  for (; i < n; i += 16) {
    const F32x16 v = load_part(x + i, n - i < 16 ? n - i : 16);
    sums[0] = fma(v, v, sums[0]);
  }
  const float sum = reduce_add(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
  const F32x16 factor = set1(1.0f / __builtin_sqrtf(sum / static_cast<float>(n) + eps));
  for (i = 0; i < n; i += 16) {
    const size_t part = n - i < 16 ? n - i : 16;
    const F32x16 v = mul(load_part(x + i, part), factor);
    store_part(y + i, mul(v, load_part(weight + i, part)), part);
  }
}

void rope(float* x, size_t n_heads, size_t head_dim, const float* cosines, const float* sines) {
  for (size_t head = 0; head < n_heads; ++head) {
    float* pair = x + head * head_dim;
    for (size_t i = 0; i < head_dim / 2; ++i, pair += 2) {
      const float even = pair[0], odd = pair[1];
      pair[0] = even * cosines[i] - odd * sines[i];
      pair[1] = even * sines[i] + odd * cosines[i];
    }
  }
}

void swiglu(const float* gate, const float* up, size_t n, float* y) {
  for (size_t i = 0; i < n; i += 16) {
    const size_t part = n - i < 16 ? n - i : 16;
    const F32x16 g = load_part(gate + i, part);
    const F32x16 silu = div(g, add(set1(1.0f), exp(sub(set1(0), g))));
    store_part(y + i, mul(silu, load_part(up + i, part)), part);
  }
}

void add_scaled(const float* x, float factor, size_t n, float* y) {
  for (size_t i = 0; i < n; i += 16) {
    const size_t part = n - i < 16 ? n - i : 16;
    store_part(y + i, fma(load_part(x + i, part), set1(factor), load_part(y + i, part)), part);
  }
}
