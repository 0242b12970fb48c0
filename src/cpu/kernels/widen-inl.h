// Quantised panels to floats: the operations of mixtral::unpack() in its order. Included by
// table_*.cpp inside their anonymous namespace and target region.

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

// Where a block is: its body and its scales.
struct BlockAt {
  const uint8_t* body;
  F32x16 d;
};

// Columns 16 C and up of a group.
template <class Q, int C>
[[gnu::always_inline]] inline void widen_columns(const BlockAt& block, F32x16 second_head,
                                                 size_t group, float* out) {
  const size_t sub = (group * Q::kGroupCols + 16 * C) / Q::kSubCols;
  const F32x16 step = step_of<Q>(block.d, block.body, sub);
  F32x16 min = second_head;
  if constexpr (Q::kMins == Mins::kPerSub)
    min = mul(second_head, to_f32(signed_lanes(sub_min<Q>(block.body, sub))));
  U8x64 w[4];
  codes_of<Q, C>(block.body, group, w);
  float* column = out + 16 * (group * Q::kGroupCols + 16 * C);
#pragma GCC unroll 4
  for (size_t u = 0; u < 4; ++u) {
    widen_column<Q, 0>(w[u], step, min, column + 64 * u);
    widen_column<Q, 1>(w[u], step, min, column + 64 * u);
    widen_column<Q, 2>(w[u], step, min, column + 64 * u);
    widen_column<Q, 3>(w[u], step, min, column + 64 * u);
  }
  if constexpr (16 * (C + 1) < Q::kGroupCols)
    widen_columns<Q, C + 1>(block, second_head, group, out);
}

template <class Q>
void widen(const std::byte* panel, size_t cols, size_t first_col, size_t n_cols, float* out) {
  constexpr size_t kBody = Q::kLayout.body_bytes(), kHead = Q::kLayout.head_bytes();
  const std::byte* heads = panel + cols / Q::kBlockCols * kBody;
  for (size_t col = first_col; col < first_col + n_cols; col += Q::kBlockCols) {
    const size_t b = col / Q::kBlockCols;
    const std::byte* head = heads + b * kHead;
    const BlockAt block = {reinterpret_cast<const uint8_t*>(panel) + b * kBody, load_f16(head)};
    const F32x16 second_head = Q::kLayout.n_heads == 2 ? load_f16(head + 32) : set1(0);
    for (size_t group = 0; group < Q::kBlockCols / Q::kGroupCols; ++group)
      widen_columns<Q, 0>(block, second_head, group, out + 16 * (col - first_col));
  }
}
