// Quantised panels times many int8 activations: a chunk of some panels is unpacked into L1, and
// multiplies all rows. Included by table_*.cpp inside their anonymous namespace and target region.
//
// How the codes are unpacked, and what multiplies them, is a choice of the instruction set:
// OperandsOf<Q>, which table_*.cpp define as one of
//
//   CodeOperands     the codes, whose sums are multiplied by their scales
//   ProductOperands  operands_products-inl.h: code * scale in a byte

// The scales of a chunk.
struct UnpackedScales {
  [[gnu::always_inline]] inline Scale scale(size_t sub) const { return load_i32(scales[sub]); }
  [[gnu::always_inline]] inline I32x16 scale_pair(size_t i) const {
    return load_i32(scale_pairs[i]);
  }
  [[gnu::always_inline]] inline I32x16 min_pair(size_t i) const { return load_i32(min_pairs[i]); }
  [[gnu::always_inline]] inline F32x16 head(size_t block, size_t which) const {
    return load(heads[which][block]);
  }

  alignas(64) uint8_t scales[16][64];
  alignas(64) uint8_t scale_pairs[4][64];
  alignas(64) uint8_t min_pairs[8][64];
  alignas(64) float heads[2][8][16];
};

template <class Q>
void unpack_scales(const PanelChunk<Q>& chunk, UnpackedScales& out) {
  for (size_t block = 0; block < chunk.n_blocks; ++block) {
    for (size_t h = 0; h < Q::kLayout.n_heads; ++h)
      store(out.heads[h][block], chunk.head(block, h));
  }
  if constexpr (Q::kHasScales) {
    for (size_t sub = 0; sub < kChunkCols / Q::kSubCols; ++sub)
      store_i32(out.scales[sub], chunk.scale(sub));
  }
  if constexpr (Q::kMins == Mins::kPerSub) {
    for (size_t i = 0; i < kChunkCols / Q::kSubCols / 2; ++i)
      store_i32(out.min_pairs[i], chunk.min_pair(i));
  }
  if constexpr (Q::kZero == 0 && kSumZeroOf<Q> != 0) {
    for (size_t i = 0; i < kChunkCols / Q::kSubCols / 2; ++i)
      store_i32(out.scale_pairs[i], chunk.scale_pair(i));
  }
}

// A chunk: what add_unit() multiplies, and scales.
struct UnpackedChunk : UnpackedScales {
  alignas(64) uint8_t codes[kChunkCols / 4][64];
};

// Hands out columns 16 C and up of a group: keep(unit, four units of 16 columns).
template <class Q, int C, class Keep>
[[gnu::always_inline]] inline void unpack_codes(const PanelChunk<Q>& chunk, size_t block,
                                                size_t group, const Keep& keep) {
  U8x64 w[4];
  chunk.template codes<C>(block, group, w);
  keep((block * Q::kBlockCols + group * Q::kGroupCols) / 4 + 4 * C, w);
  if constexpr (16 * (C + 1) < Q::kGroupCols) unpack_codes<Q, C + 1>(chunk, block, group, keep);
}

template <class Q, class Keep>
[[gnu::always_inline]] inline void unpack_all_codes(const PanelChunk<Q>& chunk, const Keep& keep) {
  for (size_t block = 0; block < chunk.n_blocks; ++block) {
    for (size_t group = 0; group < Q::kBlockCols / Q::kGroupCols; ++group)
      unpack_codes<Q, 0>(chunk, block, group, keep);
  }
}

// Where panels were unpacked from, to ask for what comes after them: while the first rows are
// multiplied, so that memory arrives meanwhile. Later it is null.
template <class Q>
using Source = const PanelChunk<Q>*;

template <class Q, int P>
[[gnu::always_inline]] inline void prefetch_at(Source<Q> source, size_t block, size_t col) {
  if (source == nullptr || col % kShareCols<Q> != 0) return;
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) source[p].prefetch_share(block, col % Q::kBlockCols / kShareCols<Q>);
}

// sums[p][m] += four columns of weights[p] · x[m], from 4 * unit on.
template <int Bits, int M, int P, class Chunk>
[[gnu::always_inline]] inline void add_unpacked(const UnpackedChunk (&weights)[P], const Chunk* x,
                                                size_t unit, SubSum (&sums)[P][M]) {
  U8x64 w[P];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) w[p] = load_bytes(weights[p].codes[unit]);
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
    const Four a = load_four(x[m].quants + 4 * unit);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) add_unit<Bits>(sums[p][m], w[p], a);
  }
}

template <class Q>
struct CodeOperands {
  static void unpack(const PanelChunk<Q>& chunk, UnpackedChunk& out) {
    unpack_all_codes<Q>(chunk, [&](size_t unit, const U8x64(&w)[4]) {
#pragma GCC unroll 4
      for (size_t u = 0; u < 4; ++u) store_bytes(out.codes[unit + u], w[u]);
    });
    unpack_scales(chunk, out);
  }

  // totals[p][m] = the integers of one block of weights[p] · x[m].
  template <int M, int P>
  [[gnu::always_inline]] static inline void sum_block(const UnpackedChunk (&weights)[P],
                                                      Source<Q> source, size_t block,
                                                      const ChunkOf<Q>* x, I32x16 (&totals)[P][M]) {
    constexpr size_t kCols = kSumColsOf<Q>;
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) totals[p][m] = start_total<Q>(weights[p], x[m]);
    }
    const size_t end = (block + 1) * Q::kBlockCols / 4;
    for (size_t unit = block * Q::kBlockCols / 4; unit < end; unit += kCols / 4) {
      const size_t col = 4 * unit;
      prefetch_at<Q, P>(source, block, col);
      SubSum sums[P][M];
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) {
        sums[0][m] = start_sum<kSumZeroOf<Q>, kCols>(x[m], col);
#pragma GCC unroll 4
        for (int p = 1; p < P; ++p) sums[p][m] = sums[0][m];
      }
#pragma GCC unroll 8
      for (size_t u = 0; u < kCols / 4; ++u) add_unpacked<Q::kBits>(weights, x, unit + u, sums);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) {
          if constexpr (kCols == Q::kBlockCols && !Q::kHasScales) {
            totals[p][m] = to_i32<Q::kBits>(sums[p][m]);
          } else {
            totals[p][m] = add_sum<Q>(totals[p][m], sums[p][m], weights[p], col);
          }
        }
      }
    }
  }
};

// Rows and the results of each panel, kManyRows rows apart.
template <class Q>
struct ManyRows {
  const ChunkOf<Q>* x;
  size_t n_rows;
  float* y;
};

// y[p][row][0..15] += one unpacked chunk of panel p · row, M rows at a time, from `row` on; what is
// left then by halves, so that there are few of these long functions to compile.
template <class Q, class Operands, int M, int P>
void add_to_rows(const UnpackedChunk (&weights)[P], size_t n_blocks, Source<Q> source,
                 const ManyRows<Q>& rows, size_t row) {
  for (; row + M <= rows.n_rows; row += M, source = nullptr) {
    const auto result = [&](size_t p, size_t m) {
      return rows.y + (p * kManyRows + row + m) * kPanelRows;
    };
    if constexpr (Q::kBlockCols == kChunkCols) {
      // Results are read when the only block is summed, each for itself: they leave its registers
      // to the sums.
      I32x16 totals[P][M];
      Operands::sum_block(weights, source, 0, rows.x + row, totals);
#pragma GCC unroll 16
      for (size_t m = 0; m < M; ++m) {
#pragma GCC unroll 4
        for (size_t p = 0; p < P; ++p) {
          store(result(p, m),
                add_total<Q>(weights[p], 0, rows.x[row + m], totals[p][m], load(result(p, m))));
        }
      }
    } else {
      F32x16 results[P][M];
#pragma GCC unroll 4
      for (size_t p = 0; p < P; ++p) {
#pragma GCC unroll 16
        for (size_t m = 0; m < M; ++m) results[p][m] = load(result(p, m));
      }
      for (size_t block = 0; block < n_blocks; ++block) {
        I32x16 totals[P][M];
        Operands::sum_block(weights, source, block, rows.x + row, totals);
#pragma GCC unroll 16
        for (size_t m = 0; m < M; ++m) {
#pragma GCC unroll 4
          for (size_t p = 0; p < P; ++p)
            results[p][m] =
                add_total<Q>(weights[p], block, rows.x[row + m], totals[p][m], results[p][m]);
        }
      }
#pragma GCC unroll 4
      for (size_t p = 0; p < P; ++p) {
#pragma GCC unroll 16
        for (size_t m = 0; m < M; ++m) store(result(p, m), results[p][m]);
      }
    }
  }
  if constexpr (M > 1)
    add_to_rows<Q, Operands, (M + 1) / 2, P>(weights, n_blocks, source, rows, row);
}

// P panels from `panel` on.
template <class Q, class Operands, int P>
void multiply_many(const Panels& panels, size_t panel, const Activations& x, float* y,
                   size_t y_stride) {
  UnpackedChunk weights[P];
  alignas(64) float results[P][kManyRows][kPanelRows];
  const auto result = [&](size_t p, size_t row) {
    return y + row * y_stride + (panel + p) * kPanelRows;
  };
  for (size_t p = 0; p < P; ++p) {
    for (size_t row = 0; row < x.n_rows; ++row)
      store(results[p][row], result_so_far(x, result(p, row)));
  }
  const auto* chunks = reinterpret_cast<const ChunkOf<Q>*>(x.chunks);
  for (size_t c = x.first_chunk; c < x.end_chunk; ++c) {
    PanelChunk<Q> packed[P];
    for (size_t p = 0; p < P; ++p) {
      packed[p] = {panels, panel + p, c, P};
      Operands::unpack(packed[p], weights[p]);
    }
    add_to_rows<Q, Operands, P == kManyTilePanels ? kManyTileRows : (kManyTileRows + 1) / 2, P>(
        weights, packed[0].n_blocks, packed, {chunks + c * x.chunk_stride, x.n_rows, results[0][0]},
        0);
  }
  for (size_t p = 0; p < P; ++p) {
    for (size_t row = 0; row < x.n_rows; ++row) store(result(p, row), load(results[p][row]));
  }
}

// Takes the first rows, at most kManyRows, from `rest`.
inline Activations take_many_rows(Activations& rest) {
  Activations rows = rest;
  if (rows.n_rows > kManyRows) rows.n_rows = kManyRows;
  rest.chunks += rows.n_rows * kChunkBytes;
  rest.n_rows -= rows.n_rows;
  return rows;
}

template <class Q, class Operands>
void matmul(const Panels& panels, const Activations& x, float* y, size_t y_stride) {
  constexpr int kTogether = kManyTilePanels;
  Activations rest = x;
  while (rest.n_rows > kFewRows) {
    const Activations rows = take_many_rows(rest);
    size_t panel = 0;
    for (; panel + kTogether <= panels.count; panel += kTogether)
      multiply_many<Q, Operands, kTogether>(panels, panel, rows, y, y_stride);
    for (; panel < panels.count; ++panel)
      multiply_many<Q, Operands, 1>(panels, panel, rows, y, y_stride);
    y += rows.n_rows * y_stride;
  }
  multiply_few<FewRowsCodes<Q>>(panels, rest, y, y_stride);
}
