// Panels of F32, F16 and BF16 times float activations. Included by table_*.cpp inside their
// anonymous namespace and target region.
//
// For one activation row: the sum over even columns plus the sum over odd columns, each in order,
// each term one fused multiply-add.

// Columns `col` (even) and `col` + 1 of 16 rows; the second may lie in the panel's padding.
struct ColumnsF32 {  // [cols][16]
  static constexpr size_t kBytes = 64;
  [[gnu::always_inline]] static inline F32x16 even(const std::byte* panel, size_t col) {
    return load(reinterpret_cast<const float*>(panel) + 16 * col);
  }
  [[gnu::always_inline]] static inline F32x16 odd(const std::byte* panel, size_t col) {
    return load(reinterpret_cast<const float*>(panel) + 16 * (col + 1));
  }
};
struct ColumnsF16 {  // [cols][16]
  static constexpr size_t kBytes = 32;
  [[gnu::always_inline]] static inline F32x16 even(const std::byte* panel, size_t col) {
    return load_f16(panel + 32 * col);
  }
  [[gnu::always_inline]] static inline F32x16 odd(const std::byte* panel, size_t col) {
    return load_f16(panel + 32 * (col + 1));
  }
};
struct ColumnsBF16 {  // [cols / 2][16][2]
  static constexpr size_t kBytes = 32;
  [[gnu::always_inline]] static inline F32x16 even(const std::byte* panel, size_t col) {
    return low_bf16(load_bytes(reinterpret_cast<const uint8_t*>(panel) + 32 * col));
  }
  [[gnu::always_inline]] static inline F32x16 odd(const std::byte* panel, size_t col) {
    return high_bf16(load_bytes(reinterpret_cast<const uint8_t*>(panel) + 32 * col));
  }
};

struct FloatPanel {
  const std::byte* weights;
  size_t cols;
  Streaming streaming;
};

struct FloatOutput {
  float* y;
  size_t y_stride;
  bool accumulate;
};

template <class P, int M>
void multiply_float_rows(const FloatPanel& panel, const Activations& x, size_t first_row,
                         const FloatOutput& to) {
  const std::byte* weights = panel.weights;
  const float* rows[M];
  F32x16 even[M], odd[M];
#pragma GCC unroll 16
  for (size_t m = 0; m < M; ++m) {
    rows[m] = x.values + (first_row + m) * x.value_stride;
    even[m] = set1(0);
    odd[m] = set1(0);
  }
  size_t col = 0;
  for (; col + 2 <= panel.cols; col += 2) {
    const F32x16 w_even = P::even(weights, col), w_odd = P::odd(weights, col);
    prefetch_lines(weights + P::kBytes * col + panel.streaming.bytes_ahead, 2 * P::kBytes,
                   panel.streaming.into_l1);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
      even[m] = fma(w_even, set1(rows[m][col]), even[m]);
      odd[m] = fma(w_odd, set1(rows[m][col + 1]), odd[m]);
    }
  }
  if (col < panel.cols) {
    const F32x16 w_even = P::even(weights, col);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) even[m] = fma(w_even, set1(rows[m][col]), even[m]);
  }
#pragma GCC unroll 16
  for (size_t m = 0; m < M; ++m) {
    float* y = to.y + (first_row + m) * to.y_stride;
    const F32x16 sum = add(even[m], odd[m]);
    store(y, to.accumulate ? add(load(y), sum) : sum);
  }
}

template <class P, int M>
void multiply_float_from(size_t row, const FloatPanel& panel, const Activations& x,
                         const FloatOutput& to) {
  for (; row + M <= x.n_rows; row += M) multiply_float_rows<P, M>(panel, x, row, to);
  if constexpr (M > 1) multiply_float_from<P, M - 1>(row, panel, x, to);
}

template <class P>
void matmul_float(const Panels& panels, const Activations& x, float* y, size_t y_stride) {
  for (size_t p = 0; p < panels.count; ++p) {
    multiply_float_from<P, kFloatRowTile>(0, {panels[p], panels.cols, panels.streaming}, x,
                                          {y + p * kPanelRows, y_stride, false});
  }
}

void matmul_widened(const float* panel, size_t cols, const Activations& x, bool accumulate,
                    float* y, size_t y_stride) {
  const FloatPanel cached = {reinterpret_cast<const std::byte*>(panel), cols, {}};
  multiply_float_from<ColumnsF32, kFloatRowTile>(0, cached, x, {y, y_stride, accumulate});
}

template <class P>
void widen_float(const std::byte* panel, size_t /*cols*/, size_t first_col, size_t n_cols,
                 float* out) {
  for (size_t i = 0; i < n_cols; ++i) {
    const size_t col = first_col + i;
    store(out + 16 * i, col % 2 == 0 ? P::even(panel, col) : P::odd(panel, col - 1));
  }
}
