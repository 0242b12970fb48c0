// Quantised panels times int8 activations, and quantised panels to floats. Included by table_*.cpp
// inside their anonymous namespace and target region.
//
// For one activation row the sum over a row of weights runs, whatever the instruction set and the
// number of rows, as
//
//   y = sum over blocks b of  scale[b] * ( sum over sub-blocks s of step[s] * isum[s]  -  mins )
//
// with exact integer sums isum[s] and both sums in order, each term one fused multiply-add.

// M rows of activations. Row pointers are dear: only the hottest are kept, the others are found by
// their strides.
template <int M>
struct RowsQ8 {
  const int8_t* quants[M];
  const float* scales;
  const int16_t* sums;
  size_t scale_stride, sum_stride;
};

template <int M>
[[gnu::always_inline]] inline RowsQ8<M> rows_q8(const Activations& x, size_t first) {
  RowsQ8<M> rows;
#pragma GCC unroll 16
  for (size_t m = 0; m < M; ++m) rows.quants[m] = x.quants + (first + m) * x.quant_stride;
  rows.scales = x.scales + first * x.scale_stride;
  rows.sums = x.sums + first * x.sum_stride;
  rows.scale_stride = x.scale_stride;
  rows.sum_stride = x.sum_stride;
  return rows;
}

// What an integer sum over the sub-block at column `col` starts from, so that codes need no
// centring: -kZero times the sum of its activations.
template <class Q>
[[gnu::always_inline]] inline I32x16 first_sum(const int16_t* sums, size_t col) {
  if constexpr (Q::kZero == 0 || (Q::kBits == 8 && kSignedBytes)) {
    return set1_i32(0);
  } else if constexpr (Q::kBlockCols == 32) {
    return set1_i32(-Q::kZero * sums[col / 32]);
  } else if constexpr (Q::kSubCols == 16) {
    return set1_i32(-Q::kZero * sums[col / 16]);
  } else {
    return set1_i32(-Q::kZero * (sums[col / 16] + sums[col / 16 + 1]));
  }
}

// Where a block is: its body, its number, its scales.
struct BlockAt {
  const uint8_t* body;
  size_t index;
  F32x16 d;
};

// Chunks C and up (16 columns each) of one group: totals[m] += step * isum of every sub-block.
template <class Q, int C, int M>
[[gnu::always_inline]] inline void add_chunks(const BlockAt& block, size_t group,
                                              const RowsQ8<M>& rows, I32x16 (&isums)[M],
                                              F32x16 (&totals)[M]) {
  constexpr bool kStarts = C * 16 % Q::kSubCols == 0;
  constexpr bool kEnds = (C + 1) * 16 % Q::kSubCols == 0;
  const size_t col_in_block = group * Q::kGroupCols + 16 * C;
  const size_t col = block.index * Q::kBlockCols + col_in_block;
  if constexpr (kStarts) {
    const int16_t* sums = rows.sums;
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m, sums += rows.sum_stride) isums[m] = first_sum<Q>(sums, col);
  }
  const int8_t* quants[M];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) quants[m] = rows.quants[m] + col;
  U8x64 w[4];
  Q::template codes<C>(block.body, group, w);
  dot16<Q::kBits>(isums, w, quants);
  if constexpr (kEnds) {
    const F32x16 step = step_of<Q>(block.d, block.body, col_in_block / Q::kSubCols);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) totals[m] = fma(to_f32(isums[m]), step, totals[m]);
  }
  if constexpr ((C + 1) * 16 < Q::kGroupCols)
    add_chunks<Q, C + 1>(block, group, rows, isums, totals);
}

// kBase: totals += m * sum of activations. kPerSub: totals -= dmin * sum of (min * sum of
// activations).
template <class Q, int M>
[[gnu::always_inline]] inline void add_mins(const BlockAt& block, F32x16 second_head,
                                            const RowsQ8<M>& rows, F32x16 (&totals)[M]) {
  if constexpr (Q::kMins == Mins::kBase) {
    const int16_t* sums = rows.sums + block.index;
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m, sums += rows.sum_stride)
      totals[m] = fma(second_head, set1(static_cast<float>(*sums)), totals[m]);
  } else {
    I32x16 mins[8];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; ++i)
      mins[i] = pair_i16(min_of<Q>(block.body, 2 * i), min_of<Q>(block.body, 2 * i + 1));
    const F32x16 minus_dmin = sub(set1(0), second_head);
    const int16_t* sums = rows.sums + 16 * block.index;
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m, sums += rows.sum_stride) {
      I32x16 isum = set1_i32(0);
#pragma GCC unroll 8
      for (size_t i = 0; i < 8; ++i) isum = dot_i16(isum, mins[i], sums + 2 * i);
      totals[m] = fma(to_f32(isum), minus_dmin, totals[m]);
    }
  }
}

// How far ahead memory is asked for. Far, and into L2 only: a body is read at several places at
// once, and L1 has no room for all of them.
constexpr size_t kPrefetchBytes = 16384;

template <class Q, int M>
void multiply_rows(const uint8_t* panel, size_t cols, const Activations& x, size_t first_row,
                   float* y, size_t y_stride) {
  constexpr size_t kGroups = Q::kBlockCols / Q::kGroupCols;
  constexpr size_t kBody = Q::kLayout.body_bytes(), kHead = Q::kLayout.head_bytes();
  const size_t n_blocks = cols / Q::kBlockCols;
  const auto* heads = reinterpret_cast<const std::byte*>(panel + n_blocks * kBody);
  const RowsQ8<M> rows = rows_q8<M>(x, first_row);
  F32x16 results[M];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) results[m] = set1(0);
  for (size_t b = 0; b < n_blocks; ++b) {
    const BlockAt block = {panel + b * kBody, b, load_f16(heads + b * kHead)};
    prefetch(heads + b * kHead + kPrefetchBytes / 8);
    I32x16 isums[M];
    F32x16 totals[M];
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) totals[m] = set1(0);
    for (size_t group = 0; group < kGroups; ++group) {
#pragma GCC unroll 16
      for (size_t line = 0; line < kBody / kGroups; line += 64)
        prefetch(block.body + kPrefetchBytes + group * (kBody / kGroups) + line);
      add_chunks<Q, 0>(block, group, rows, isums, totals);
    }
    if constexpr (Q::kMins != Mins::kNone)
      add_mins<Q>(block, load_f16(heads + b * kHead + 32), rows, totals);
    const float* scales = rows.scales + b;
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m, scales += rows.scale_stride)
      results[m] = fma(totals[m], set1(*scales), results[m]);
  }
#pragma GCC unroll 16
  for (size_t m = 0; m < M; ++m) store(y + (first_row + m) * y_stride, results[m]);
}

// The next smaller tile that a function is made for.
constexpr int smaller_tile(int m) { return m > 8 ? 8 : m > 6 ? 6 : m > 4 ? 4 : m - 1; }

template <class Q, int M>
void multiply_from(size_t row, const uint8_t* panel, size_t cols, const Activations& x, float* y,
                   size_t y_stride) {
  for (; row + M <= x.n_rows; row += M) multiply_rows<Q, M>(panel, cols, x, row, y, y_stride);
  if constexpr (M > 1) multiply_from<Q, smaller_tile(M)>(row, panel, cols, x, y, y_stride);
}

template <class Q>
void matmul(const std::byte* panel, size_t cols, const Activations& x, float* y, size_t y_stride) {
  multiply_from<Q, kRowTile>(0, reinterpret_cast<const uint8_t*>(panel), cols, x, y, y_stride);
}

// ---- To floats: the operations of unpack() in its order.

// Byte B of the lanes of `codes` as 16 weights of one column.
template <class Q, int B>
[[gnu::always_inline]] inline void widen_column(U8x64 codes, F32x16 step, F32x16 min, float* out) {
  I32x16 code = byte_of<B>(codes);
  if constexpr (Q::kBits == 8 && kSignedBytes) {
    code = signed_byte_of<B>(codes);
  } else if constexpr (Q::kZero != 0) {
    code = sub_i32(code, set1_i32(Q::kZero));
  }
  F32x16 weight = mul(step, to_f32(code));
  if constexpr (Q::kMins == Mins::kBase) weight = add(weight, min);
  if constexpr (Q::kMins == Mins::kPerSub) weight = sub(weight, min);
  store(out + 16 * B, weight);
}

template <class Q, int C>
[[gnu::always_inline]] inline void widen_chunks(const BlockAt& block, F32x16 second_head,
                                                size_t group, float* out) {
  const size_t col_in_block = group * Q::kGroupCols + 16 * C;
  const F32x16 step = step_of<Q>(block.d, block.body, col_in_block / Q::kSubCols);
  F32x16 min = second_head;
  if constexpr (Q::kMins == Mins::kPerSub)
    min = mul(second_head, to_f32(min_of<Q>(block.body, col_in_block / 16)));
  U8x64 w[4];
  Q::template codes<C>(block.body, group, w);
  float* column = out + 16 * col_in_block;
#pragma GCC unroll 4
  for (size_t u = 0; u < 4; ++u) {
    widen_column<Q, 0>(w[u], step, min, column + 64 * u);
    widen_column<Q, 1>(w[u], step, min, column + 64 * u);
    widen_column<Q, 2>(w[u], step, min, column + 64 * u);
    widen_column<Q, 3>(w[u], step, min, column + 64 * u);
  }
  if constexpr ((C + 1) * 16 < Q::kGroupCols)
    widen_chunks<Q, C + 1>(block, second_head, group, out);
}

template <class Q>
void widen(const std::byte* panel, size_t cols, size_t first_col, size_t n_cols, float* out) {
  constexpr size_t kBody = Q::kLayout.body_bytes(), kHead = Q::kLayout.head_bytes();
  const std::byte* heads = panel + cols / Q::kBlockCols * kBody;
  for (size_t col = first_col; col < first_col + n_cols; col += Q::kBlockCols) {
    const size_t b = col / Q::kBlockCols;
    const std::byte* head = heads + b * kHead;
    const BlockAt block = {reinterpret_cast<const uint8_t*>(panel) + b * kBody, b, load_f16(head)};
    const F32x16 second_head = Q::kLayout.n_heads == 2 ? load_f16(head + 32) : set1(0);
    for (size_t group = 0; group < Q::kBlockCols / Q::kGroupCols; ++group)
      widen_chunks<Q, 0>(block, second_head, group, out + 16 * (col - first_col));
  }
}
