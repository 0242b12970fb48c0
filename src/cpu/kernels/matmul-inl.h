// Quantised panels times int8 activations. Included by table_*.cpp inside their anonymous namespace
// and target region.
//
// For one activation row the sum over a row of weights runs, whatever the instruction set and the
// number of rows, over blocks in order,
//
//   blocks of 256:  y += scale * ( d * isum - dmin * minsum )
//   blocks of 32:   y += d * scale * isum  (+ m * sum of activations)
//
// where isum (of codes times activations, times the sub-block's integer scale) and minsum are exact
// integers, and everything else is a fixed sequence of float operations.
//
// A few rows take the codes straight from the panel. For many, a chunk of the panel is unpacked
// once, into L1, and multiplies them all (matmul_many-inl.h).

// The compiler loads anew what it needs again. Units of which several columns need a part it would
// keep, and where registers are full, on the stack, which costs more than to load them.
[[gnu::always_inline]] inline void forget_loaded() { asm volatile("" ::: "memory"); }

// Asks for the lines of n bytes. Any address will do.
[[gnu::always_inline]] inline void prefetch_lines(const void* from, size_t n, bool into_l1) {
  const auto* bytes = static_cast<const char*>(from);
  if (into_l1) {
    asm("" : "+r"(bytes));  // or the compiler makes all addresses before it branches
#pragma GCC unroll 16
    for (size_t line = 0; line < n; line += 64) __builtin_prefetch(bytes + line, 0, 3);
  } else {
#pragma GCC unroll 16
    for (size_t line = 0; line < n; line += 64) __builtin_prefetch(bytes + line, 0, 2);
  }
}

// Memory is asked for by shares of a block, 9 lines at most, since a core has only so many requests
// under way; smaller ones cost more than they give.
template <class Q>
constexpr size_t kShareCols = Q::kBlockCols == 32 ||
                                      Q::kLayout.body_bytes() * 64 / Q::kBlockCols > 9 * 64
                                  ? 32
                                  : 64;

// The columns of a panel that one chunk of activations meets.
template <class Q>
struct PanelChunk {
  static constexpr size_t kBody = Q::kLayout.body_bytes(), kHead = Q::kLayout.head_bytes();
  static constexpr size_t kBlocks = kChunkCols / Q::kBlockCols;  // of a whole chunk

  PanelChunk() = default;
  // The panel that is read after this one is `next` panels further.
  PanelChunk(const Panels& panels, size_t panel, size_t index, size_t next)
      : body(reinterpret_cast<const uint8_t*>(panels[panel]) + index * kBlocks * kBody),
        n_left(panels.cols / Q::kBlockCols - index * kBlocks),
        n_blocks(n_left < kBlocks ? n_left : kBlocks),
        heads(panels[panel] + panels.cols / Q::kBlockCols * kBody + index * kBlocks * kHead),
        to_next_body(next * panels.stride - panels.cols / Q::kBlockCols * kBody),
        to_next_heads(next * panels.stride - panels.cols / Q::kBlockCols * kHead),
        streaming(panels.streaming) {}

  // Columns 16 C to 16 C + 15 of a group of a block.
  template <int C>
  [[gnu::always_inline]] inline void codes(size_t block, size_t group, U8x64 (&w)[4]) const {
    codes_of<Q, C>(body + block * kBody, group, w);
  }
  [[gnu::always_inline]] inline Scale scale(size_t sub) const {
    return to_scale<Q::kBits>(sub_scale<Q>(body, sub));
  }
  // Scales 2 i and 2 i + 1 of each row, and mins, for dot_i16().
  [[gnu::always_inline]] inline I32x16 scale_pair(size_t i) const {
    return pairs_of(sub_scale<Q>(body, 2 * i), sub_scale<Q>(body, 2 * i + 1));
  }
  [[gnu::always_inline]] inline I32x16 min_pair(size_t i) const {
    return pairs_of(sub_min<Q>(body, 2 * i), sub_min<Q>(body, 2 * i + 1));
  }
  [[gnu::always_inline]] inline F32x16 head(size_t block, size_t which) const {
    const F32x16 stored = load_f16(heads + block * kHead + 32 * which);
    return Q::kStepFactor == 1 ? stored : mul(stored, set1(Q::kStepFactor));
  }

  // Asks for one share of a body and heads, as far ahead. After a panel's last comes the next
  // panel's first.
  [[gnu::always_inline]] inline void prefetch_share(size_t block, size_t share) const {
    constexpr size_t kShare = kBody / (Q::kBlockCols / kShareCols<Q>);
    size_t ahead = block * kBody + share * kShare + streaming.bytes_ahead;
    if (ahead >= n_left * kBody) ahead += to_next_body;
    prefetch_lines(body + ahead, kShare, streaming.into_l1);
    if (share != 0) return;
    size_t heads_ahead = (block + streaming.bytes_ahead / kBody + 1) * kHead;
    if (heads_ahead >= n_left * kHead) heads_ahead += to_next_heads;
    prefetch_lines(heads + heads_ahead, 1, streaming.into_l1);
  }

  const uint8_t* body;
  size_t n_left, n_blocks;  // of the panel, of these the chunk's
  const std::byte* heads;
  size_t to_next_body, to_next_heads;  // from the end of the panel's
  Streaming streaming;
};

// What the codes of Q count from where add_unit() is concerned.
template <class Q>
constexpr int kSumZeroOf =
    Q::kBits == 8 && kSignedBytes ? 0 : kSumZero<Q::kBits, Q::kZero, Q::kHasScales>;

// Columns that one SubSum gathers.
template <class Q>
constexpr size_t kSumColsOf = Q::kSubCols < kSumCols<Q::kBits, kSumZeroOf<Q>, Q::kHasScales>
                                  ? Q::kSubCols
                                  : kSumCols<Q::kBits, kSumZeroOf<Q>, Q::kHasScales>;

// What is to be added to the sums of a block of weights · x: the product of scales, of activations
// and of what codes were taken to count from though they count from 0.
template <class Q, class Weights>
[[gnu::always_inline]] inline I32x16 start_total(const Weights& weights, const ChunkQ8x256& x) {
  I32x16 total = set1_i32(0);
  if constexpr (Q::kZero == 0 && kSumZeroOf<Q> != 0) {
    static_assert(Q::kSubCols == 32 && kSumZeroOf<Q> % 8 == 0);
#pragma GCC unroll 4
    for (size_t i = 0; i < kChunkCols / 64; ++i) {
      I32x16 pair = weights.scale_pair(i);
      if constexpr (kSumZeroOf<Q> == 16) pair = add_i32(pair, pair);
      total = dot_i16(total, pair, x.eightfold_32 + 2 * i);
    }
  }
  return total;
}
template <class Q, class Weights>
[[gnu::always_inline]] inline I32x16 start_total(const Weights& /*weights*/,
                                                 const ChunkQ8x32& /*x*/) {
  return set1_i32(0);
}

// total + sum * its scale, if it has one.
template <class Q, class Weights>
[[gnu::always_inline]] inline I32x16 add_sum(I32x16 total, SubSum sum, const Weights& weights,
                                             size_t col) {
  if constexpr (Q::kHasScales)
    return add_scaled<Q::kBits>(total, sum, weights.scale(col / Q::kSubCols));
  return add_i32(total, to_i32<Q::kBits>(sum));
}

// One chunk of P panels that few rows go through together.
template <class Q, int P>
struct ChunksTogether {
  ChunksTogether(const Panels& panels, size_t panel, size_t index) {
#pragma GCC unroll 4
    for (size_t p = 0; p < P; ++p) chunks[p] = {panels, panel + p, index, P};
  }

  // Memory is asked for at all panels in turn, whichever is multiplied.
  [[gnu::always_inline]] inline void prefetch(size_t panel, size_t block, size_t col) const {
    constexpr size_t kShares = Q::kBlockCols / kShareCols<Q>;
    const size_t turn = (panel * kChunkCols + block * Q::kBlockCols + col) / kShareCols<Q>;
    const size_t share = turn / P;
    chunks[turn % P].prefetch_share(share / kShares, share % kShares);
  }

  PanelChunk<Q> chunks[P];
};

struct GroupPlace {
  size_t panel, block, group;
};

// Whether few rows meet codes that have been multiplied by their scales, and how:
// operands_products-inl.h.
template <class Q>
struct ScaledCodes {
  static constexpr bool kUsed = false;
};

// How few rows meet the codes of Q, if there is a better way than as they are stored:
// operands_products-inl.h.
template <class Q>
struct FewRowsCodesOf {
  using Type = Q;
};
template <class Q>
using FewRowsCodes = typename FewRowsCodesOf<Q>::Type;

// totals[m] += scale * isum of every sub-block. `w`: 16 columns from `col` on, the C-th of a group.
template <class Q, int C, int M, class Chunk>
[[gnu::always_inline]] inline void add_codes(const PanelChunk<Q>& chunk, const U8x64 (&w)[4],
                                             size_t col, const Chunk* x, SubSum (&sums)[M],
                                             I32x16 (&totals)[M]) {
#pragma GCC unroll 4
  for (size_t u = 0; u < 4; ++u) {
    if ((16 * C + 4 * u) % kSumColsOf<Q> == 0) {
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m)
        sums[m] = start_sum<kSumZeroOf<Q>, kSumColsOf<Q>>(x[m], col + 4 * u);
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) add_unit_at<Q::kBits>(sums[m], w[u], x[m].quants + col + 4 * u);
    if ((16 * C + 4 * u + 4) % kSumColsOf<Q> == 0) {
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) totals[m] = add_sum<Q>(totals[m], sums[m], chunk, col + 4 * u);
    }
  }
}

// Columns 16 C and up of a group.
template <class Q, int C, int M, int P, class Chunk>
[[gnu::always_inline]] inline void add_columns(const ChunksTogether<Q, P>& weights, GroupPlace at,
                                               const Chunk* x, SubSum (&sums)[M],
                                               I32x16 (&totals)[M]) {
  const size_t first_col = at.group * Q::kGroupCols + 16 * C;  // of the block
  if constexpr (16 * C % kShareCols<Q> == 0) weights.prefetch(at.panel, at.block, first_col);
  if constexpr (Q::kGroupBytes / 64 + 2 * M > kMostKept) forget_loaded();
  const PanelChunk<Q>& chunk = weights.chunks[at.panel];
  const size_t col = at.block * Q::kBlockCols + first_col;
  U8x64 w[4];
  chunk.template codes<C>(at.block, at.group, w);
  if constexpr (ScaledCodes<Q>::kUsed) {
    ScaledCodes<Q>::multiply(w, chunk.scale(col / Q::kSubCols));
    // Into two sums in turn: of few rows one alone would wait for itself.
#pragma GCC unroll 4
    for (size_t u = 0; u < 4; ++u) {
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m)
        add_unit_at<Q::kBits>(u % 2 == 0 ? totals[m] : sums[m], w[u], x[m].quants + col + 4 * u);
    }
  } else {
    add_codes<Q, C>(chunk, w, col, x, sums, totals);
  }
  if constexpr (16 * (C + 1) < Q::kGroupCols) add_columns<Q, C + 1>(weights, at, x, sums, totals);
}

// The sums of activations that the mins of Q multiply.
template <class Q>
inline const int16_t* min_sums(const ChunkQ8x256& x) {
  return Q::kSubCols == 32 ? x.sums_32 : x.sums_16;
}

// result + block · x, of whose integers `total` is the sum.
template <class Q, class Weights>
[[gnu::always_inline]] inline F32x16 add_total(const Weights& weights, size_t /*block*/,
                                               const ChunkQ8x256& x, I32x16 total, F32x16 result) {
  F32x16 sum = mul(weights.head(0, 0), to_f32(total));
  if constexpr (Q::kMins == Mins::kPerSub) {
    I32x16 minsum = set1_i32(0);
#pragma GCC unroll 8
    for (size_t i = 0; i < kChunkCols / Q::kSubCols / 2; ++i)
      minsum = dot_i16(minsum, weights.min_pair(i), min_sums<Q>(x) + 2 * i);
    sum = fma(sub(set1(0), weights.head(0, 1)), to_f32(minsum), sum);
  }
  return fma(sum, set1(x.scale), result);
}

template <class Q, class Weights>
[[gnu::always_inline]] inline F32x16 add_total(const Weights& weights, size_t block,
                                               const ChunkQ8x32& x, I32x16 total, F32x16 result) {
  result = fma(to_f32(total), mul(weights.head(block, 0), set1(x.scales[block])), result);
  if constexpr (Q::kMins == Mins::kBase)
    result = fma(weights.head(block, 1), set1(x.scaled_sums[block]), result);
  return result;
}

// totals[m] = the integers of one block of a panel · x[m].
template <class Q, int M, int P, class Chunk>
[[gnu::always_inline]] inline void sum_block(const ChunksTogether<Q, P>& weights, size_t panel,
                                             size_t block, const Chunk* x, I32x16 (&totals)[M]) {
  SubSum sums[M];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
    totals[m] = start_total<Q>(weights.chunks[panel], x[m]);
    if constexpr (ScaledCodes<Q>::kUsed) sums[m] = set1_i32(0);
  }
  for (size_t group = 0; group < Q::kBlockCols / Q::kGroupCols; ++group) {
    // Rows count from one address: the compiler would keep one for each of them.
    asm("" : "+r"(x));
    add_columns<Q, 0>(weights, {panel, block, group}, x, sums, totals);
  }
  if constexpr (ScaledCodes<Q>::kUsed) {
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) totals[m] = add_i32(totals[m], sums[m]);
  }
}

// results[m] += the chunk's columns of one panel · x[m].
template <class Q, int M, int P, class Chunk>
[[gnu::always_inline]] inline void add_chunk(const ChunksTogether<Q, P>& weights, size_t panel,
                                             const Chunk* x, float (&results)[M][kPanelRows]) {
  const PanelChunk<Q>& chunk = weights.chunks[panel];
  I32x16 totals[M];
  if constexpr (Q::kBlockCols == kChunkCols) {
    // Results are read when the only block is summed: they leave its registers to the sums.
    sum_block(weights, panel, 0, x, totals);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m)
      store(results[m], add_total<Q>(chunk, 0, x[m], totals[m], load(results[m])));
  } else {
    F32x16 sums[M];
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) sums[m] = load(results[m]);
    for (size_t block = 0; block < chunk.n_blocks; ++block) {
      sum_block(weights, panel, block, x, totals);
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) sums[m] = add_total<Q>(chunk, block, x[m], totals[m], sums[m]);
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) store(results[m], sums[m]);
  }
}

template <class Q>
using ChunkOf = std::conditional_t<Q::kBlockCols == 32, ChunkQ8x32, ChunkQ8x256>;

// y[row][0..15] so far.
inline F32x16 result_so_far(const Activations& x, const float* y) {
  return x.first_chunk == 0 ? set1(0) : load(y);
}

// P panels from `panel` on, M rows of activations from `row` on.
template <class Q, int M, int P>
[[gnu::always_inline]] inline void multiply_tile(const Panels& panels, size_t panel,
                                                 const Activations& x, size_t row, float* y,
                                                 size_t y_stride) {
  const auto* chunks = reinterpret_cast<const ChunkOf<Q>*>(x.chunks) + row;
  const auto result = [&](size_t p, size_t m) {
    return y + (row + m) * y_stride + (panel + p) * kPanelRows;
  };
  alignas(64) float results[P][M][kPanelRows];
  for (size_t p = 0; p < P; ++p) {
    for (size_t m = 0; m < M; ++m) store(results[p][m], result_so_far(x, result(p, m)));
  }
  for (size_t c = x.first_chunk; c < x.end_chunk; ++c) {
    const ChunksTogether<Q, P> weights(panels, panel, c);
    // Not unrolled: P times so much code would leave the cache of instructions.
#pragma GCC unroll 1
    for (size_t p = 0; p < P; ++p) add_chunk(weights, p, chunks + c * x.chunk_stride, results[p]);
  }
  for (size_t p = 0; p < P; ++p) {
    for (size_t m = 0; m < M; ++m) store(result(p, m), load(results[p][m]));
  }
}

// Panels that m rows go through together.
constexpr int panels_together(int m) { return 4 * m <= kFewTile ? 4 : 2 * m <= kFewTile ? 2 : 1; }

// M rows of activations from `row` on. They wait for memory more than they multiply, and some
// processors are given more by it when they read at several places: there up to four panels share a
// pass.
template <class Q, int M>
void multiply_row_tile(const Panels& panels, const Activations& x, size_t row, float* y,
                       size_t y_stride) {
  constexpr int kTogether = panels_together(M);
  size_t panel = 0;
  if (panels.streaming.several_panels) {
    for (; panel + kTogether <= panels.count; panel += kTogether)
      multiply_tile<Q, M, kTogether>(panels, panel, x, row, y, y_stride);
  }
  for (; panel < panels.count; ++panel) multiply_tile<Q, M, 1>(panels, panel, x, row, y, y_stride);
}

template <class Q>
using RowTileFn = decltype(&multiply_row_tile<Q, 1>);

// multiply_row_tile() of m rows, 1 to M.
template <class Q, int M = kRowTile>
RowTileFn<Q> row_tile_of(size_t m) {
  if constexpr (M > 1) {
    if (m < M) return row_tile_of<Q, M - 1>(m);
  }
  return multiply_row_tile<Q, M>;
}

// Few rows, in as few and as even tiles as there can be; the first finds a panel in memory, the
// others in the cache.
template <class Q>
void multiply_few(const Panels& panels, const Activations& x, float* y, size_t y_stride) {
  const size_t n_tiles = (x.n_rows + kRowTile - 1) / kRowTile;
  const size_t together = panels.streaming.several_panels ? 4 : 1;
  const size_t step = n_tiles == 1 ? panels.count : together;
  for (size_t panel = 0; panel < panels.count; panel += step) {
    Panels some = panels;
    some.first = panels[panel];
    some.count = panels.count - panel < step ? panels.count - panel : step;
    size_t row = 0;
    for (size_t tile = 0; tile < n_tiles; ++tile) {
      const size_t n_rows = (x.n_rows - row) / (n_tiles - tile);
      row_tile_of<Q>(n_rows)(some, x, row, y + panel * kPanelRows, y_stride);
      row += n_rows;
    }
  }
}
