// Quantised panels times many rows of int8 activations, with AMX tiles. Included by table_amx.cpp
// inside its anonymous namespace and target region.
//
// A panel's unit of 64 bytes, four columns of 16 rows, is a row of the weights' tile; the quants of
// up to 16 rows of activations, one chunk's bytes apart, are the other tile as they lie. What tiles
// add up are the integers that matmul-inl.h sums, and all that follows is the same code: the
// results have the bits of the AVX-512 kernels.
//
//   blocks of 32:   a tile of 32 columns, whose sums leave the tile at the end of the block
//   blocks of 256:  sub-blocks have integer scales of their own. To keep the sums of a whole block
//                   in tiles, codes are multiplied with their scales while unpacking; the products
//                   have up to 13 bits, so their bytes make two tiles of 64 columns, one low and
//                   one high, with sums of their own. Those of Q2_K fit one byte.
//
// Two tiles of rows meet two operands at a time, the planes of one panel or the only planes of two:
// four sums under way hide the latency of a product.

// How codes and their integer scales become bytes that tiles multiply.
enum class Planes {
  kCodes,     // no integer scales: signed codes
  kProducts,  // code * scale, at most 45: one plane, unsigned
  kNegated,   // (4 - code) * scale, from -128 to 124: one plane, signed, whose sums change sign
  kDigits,    // code * (scale % 8) and code * (scale / 8), at most 217: two planes, unsigned
  kBytes,     // products of up to 13 bits: their low bytes, unsigned, and their high ones, signed
};
template <class Q>
constexpr Planes kPlanes = !Q::kHasScales                                       ? Planes::kCodes
                           : Q::kType == Type::kQ2_K                            ? Planes::kProducts
                           : Q::kType == Type::kQ3_K                            ? Planes::kNegated
                           : Q::kType == Type::kQ4_K || Q::kType == Type::kQ5_K ? Planes::kDigits
                                                                                : Planes::kBytes;
template <class Q>
constexpr bool kTwoPlanes = kPlanes<Q> == Planes::kDigits || kPlanes<Q> == Planes::kBytes;
template <class Q>
constexpr size_t kTileCols = Q::kBlockCols == 32 ? 32 : 64;

// What tiles multiply rows with, two at a time: the planes of a panel, or the only planes of two.
template <class Q, int P>
struct TileStore {
  static constexpr int kOperands = P * (kTwoPlanes<Q> ? 2 : 1);
  static_assert(kOperands <= 2);
  UnpackedScales scales[2][P];  // of one chunk and the one before it
  alignas(64) uint8_t operands[kOperands][kChunkCols / 4][64];
};

struct alignas(64) TileSums {  // of two tiles of rows, one after the other, with each operand
  int32_t of[2][32][16];
};

// Rows of activations, and where they are added up: P panels, kManyRows rows apart.
template <class Q>
struct TileRows {
  const ChunkOf<Q>* x = nullptr;
  size_t n_rows = 0;
  float* y = nullptr;
};

// Two tiles' rows that have been multiplied with a block of weights, and are to be added up while
// tiles multiply the next.
template <class Q, int P>
struct WaitingSums {
  const UnpackedScales (*weights)[P] = nullptr;
  size_t block = 0;
  const TileSums* sums = nullptr;
  TileRows<Q> rows;
};

struct BytePlanes {
  U8x64 low, high;  // with one plane, high is not used
};
template <class Q>
[[gnu::always_inline]] inline BytePlanes planes_of(U8x64 codes, __m512i scale) {
  if constexpr (kPlanes<Q> == Planes::kProducts) return {small_products(codes, scale), codes};
  if constexpr (kPlanes<Q> == Planes::kDigits) {
    return {small_products(codes, low_octal_digit(scale)),
            small_products(codes, high_octal_digit(scale))};
  }
  if constexpr (kPlanes<Q> == Planes::kNegated) {
    return {low_bytes_of(products_of(codes, negative(scale), Q::kZero)), codes};
  }
  const WordProducts products = products_of(codes, scale, Q::kZero);
  return {low_bytes_of(products), high_bytes_of(products)};
}

// The sums of products with codes and scales, from those of one row with the planes.
template <class Q>
[[gnu::always_inline]] inline I32x16 join_planes(const int32_t* low, const int32_t* high) {
  const I32x16 sum = load_i32(low);
  if constexpr (kPlanes<Q> == Planes::kNegated) return sub_i32(set1_i32(0), sum);
  if constexpr (kPlanes<Q> == Planes::kDigits) return add_shifted<3>(sum, load_i32(high));
  if constexpr (kPlanes<Q> == Planes::kBytes) return add_shifted<8>(sum, load_i32(high));
  return sum;
}

// Makes the operands of one panel's chunk.
template <class Q, int P>
void make_operands(const PanelChunk<Q>& chunk, const UnpackedScales& scales, size_t panel,
                   TileStore<Q, P>& out) {
  unpack_all_codes<Q>(chunk, [&](size_t unit, const U8x64(&w)[4]) {
    const size_t col = 4 * unit;
    if (col % kShareCols<Q> == 0)
      chunk.prefetch_share(col / Q::kBlockCols, col % Q::kBlockCols / kShareCols<Q>);
    auto& first = out.operands[panel];
    if constexpr (Q::kHasScales) {
      const __m512i scale = twice_in_32(load_i32(scales.scales[unit * 4 / Q::kSubCols]));
#pragma GCC unroll 4
      for (size_t u = 0; u < 4; ++u) {
        const BytePlanes planes = planes_of<Q>(w[u], scale);
        store_bytes(first[unit + u], planes.low);
        if constexpr (kTwoPlanes<Q>) store_bytes(out.operands[1][unit + u], planes.high);
      }
    } else {
#pragma GCC unroll 4
      for (size_t u = 0; u < 4; ++u)
        store_bytes(first[unit + u], Q::kZero != 0 ? minus_zero(w[u], Q::kZero) : w[u]);
    }
  });
}

// Tiles 0 to 3: the sums of the first tile of rows with both operands, then of the second; 4 and 5:
// these rows; 6 and 7: the operands.
template <class Q>
void configure_for(size_t tile_rows) {
  TileConfig config;
  for (size_t tile = 0; tile < 4; ++tile) config.set(tile, tile_rows, 64);
  for (size_t tile = 4; tile < 6; ++tile) config.set(tile, tile_rows, kTileCols<Q>);
  for (size_t tile = 6; tile < 8; ++tile) config.set(tile, kTileCols<Q> / 4, 64);
  configure_tiles(config);
}

// y[row..row + M - 1][0..15] += one block · these rows.
template <class Q, int M, int P>
[[gnu::always_inline]] inline void add_sums_of(const WaitingSums<Q, P>& waiting, size_t row) {
#pragma GCC unroll 2
  for (size_t p = 0; p < P; ++p) {
    float* y = waiting.rows.y + (p * kManyRows + row) * 16;
#pragma GCC unroll 4
    for (size_t m = 0; m < M; ++m) {
      const I32x16 total =
          join_planes<Q>(waiting.sums->of[p][row + m], waiting.sums->of[1][row + m]);
      store(y + 16 * m, add_total<Q>((*waiting.weights)[p], waiting.block, waiting.rows.x[row + m],
                                     total, load(y + 16 * m)));
    }
  }
}

// Two tiles' rows are added up in so many parts, of four rows each.
constexpr size_t kParts = 32 / 4;

// Part number `part`, if there are so many rows.
template <class Q, int P>
[[gnu::always_inline]] inline void add_part(const WaitingSums<Q, P>& waiting, size_t part) {
  if (4 * part + 4 <= waiting.rows.n_rows) add_sums_of<Q, 4>(waiting, 4 * part);
}

// Those that are left over when all parts are added.
template <class Q, int P>
void add_last(const WaitingSums<Q, P>& waiting) {
  for (size_t row = waiting.rows.n_rows / 4 * 4; row < waiting.rows.n_rows; ++row)
    add_sums_of<Q, 1>(waiting, row);
}

// sums = a block of weights · two tiles of rows; and adds up what is waiting, a little after each
// product. A processor looks a few hundred instructions ahead: what came after all the products it
// would not see while they are made. Rows are loaded as what is not wanted again soon: the
// first-level cache is for what sums need.
template <class Q, int P>
void sum_tiles(const TileStore<Q, P>& weights, size_t block, const ChunkOf<Q>* rows, size_t second,
               const WaitingSums<Q, P>& waiting, TileSums& sums) {
  constexpr bool kTwo = TileStore<Q, P>::kOperands == 2;
  constexpr size_t kSteps = Q::kBlockCols / kTileCols<Q>, kStepProducts = kTwo ? 4 : 2;
  const auto add_after = [&](size_t product) __attribute__((always_inline)) {
    constexpr size_t kProducts = kSteps * kStepProducts;
#pragma GCC unroll 8
    for (size_t part = product * kParts / kProducts; part < (product + 1) * kParts / kProducts;
         ++part)
      add_part<Q>(waiting, part);
  };
  _tile_zero(0);
  _tile_zero(2);
  if constexpr (kTwo) {
    _tile_zero(1);
    _tile_zero(3);
  }
#pragma GCC unroll 4
  for (size_t step = 0; step < kSteps; ++step) {
    const size_t col = block * Q::kBlockCols + step * kTileCols<Q>, product = step * kStepProducts;
    _tile_stream_loadd(4, rows[0].quants + col, sizeof(*rows));
    _tile_stream_loadd(5, rows[second].quants + col, sizeof(*rows));
    _tile_loadd(6, weights.operands[0][col / 4], 64);
    if constexpr (kTwo) _tile_loadd(7, weights.operands[1][col / 4], 64);
    if constexpr (kTwoPlanes<Q>) {
      _tile_dpbsud(0, 4, 6);
      add_after(product);
      _tile_dpbsud(2, 5, 6);
    } else {
      _tile_dpbssd(0, 4, 6);
      add_after(product);
      _tile_dpbssd(2, 5, 6);
    }
    add_after(product + 1);
    if constexpr (kPlanes<Q> == Planes::kDigits) {
      _tile_dpbsud(1, 4, 7);
      add_after(product + 2);
      _tile_dpbsud(3, 5, 7);
      add_after(product + 3);
    } else if constexpr (kTwo) {
      _tile_dpbssd(1, 4, 7);
      add_after(product + 2);
      _tile_dpbssd(3, 5, 7);
      add_after(product + 3);
    }
  }
  _tile_stored(0, sums.of[0][0], 64);
  _tile_stored(2, sums.of[0][second], 64);
  if constexpr (kTwo) {
    _tile_stored(1, sums.of[1][0], 64);
    _tile_stored(3, sums.of[1][second], 64);
  }
}

// One chunk · rows, two tiles of rows at a time; the sums of the last two are left waiting. Tiles
// have one height, so that one configuration does for all: the last one may begin among the rows
// of the one before it, whose sums are then made twice, and are the same.
template <class Q, int P>
void multiply_chunk(const TileStore<Q, P>& weights, const UnpackedScales (&scales)[P],
                    size_t n_blocks, size_t tile_rows, const TileRows<Q>& rows, TileSums (&sums)[2],
                    WaitingSums<Q, P>& waiting) {
  for (size_t row = 0; row < rows.n_rows; row += 2 * tile_rows) {
    const size_t left = rows.n_rows - row;
    const TileRows<Q> two = {rows.x + row, left < 2 * tile_rows ? left : 2 * tile_rows,
                             rows.y + 16 * row};
    const size_t second = two.n_rows - tile_rows;
    for (size_t block = 0; block < n_blocks; ++block) {
      TileSums& next = waiting.sums == &sums[0] ? sums[1] : sums[0];
      sum_tiles(weights, block, two.x, second, waiting, next);
      add_last(waiting);
      waiting = {&scales, block, &next, two};
    }
  }
}

// The height of an even number of tiles for `n_rows` > 1 rows. Up to 224 of them leave no tile
// without rows of its own.
static_assert(kManyRows <= 224);
constexpr size_t tile_height(size_t n_rows) {
  const size_t n_tiles = 2 * ((n_rows + 31) / 32);
  return (n_rows + n_tiles - 1) / n_tiles;
}

// P panels from `panel` on, at most kManyRows rows.
template <class Q, int P>
void multiply_tiles(const Panels& panels, size_t panel, const Activations& x, float* y,
                    size_t y_stride) {
  TileStore<Q, P> operands;
  alignas(64) float results[P][kManyRows][16];
  const auto result = [&](size_t p, size_t row) {
    return y + row * y_stride + (panel + p) * kPanelRows;
  };
  for (size_t p = 0; p < P; ++p) {
    for (size_t row = 0; row < x.n_rows; ++row)
      store(results[p][row], result_so_far(x, result(p, row)));
  }
  const size_t tile_rows = tile_height(x.n_rows);
  configure_for<Q>(tile_rows);
  const auto* chunks = reinterpret_cast<const ChunkOf<Q>*>(x.chunks);
  TileSums sums[2];
  WaitingSums<Q, P> waiting;
  for (size_t c = x.first_chunk; c < x.end_chunk; ++c) {
    PanelChunk<Q> packed;
    auto& scales = operands.scales[c % 2];
    for (size_t p = 0; p < P; ++p) {
      packed = {panels, panel + p, c, P};
      unpack_scales(packed, scales[p]);
      make_operands(packed, scales[p], p, operands);
    }
    finish_stores(&operands);
    multiply_chunk(operands, scales, packed.n_blocks, tile_rows,
                   {chunks + c * x.chunk_stride, x.n_rows, results[0][0]}, sums, waiting);
  }
  for (size_t part = 0; part < kParts; ++part) add_part(waiting, part);
  add_last(waiting);
  _tile_release();
  for (size_t p = 0; p < P; ++p) {
    for (size_t row = 0; row < x.n_rows; ++row) store(result(p, row), load(results[p][row]));
  }
}

// Up to so many rows are too few for tiles: the AVX-512 table multiplies them.
constexpr size_t kTooFewRows = 8;

template <class Q>
void matmul_tiles(const Panels& panels, const Activations& x, float* y, size_t y_stride) {
  constexpr int kTogether = kTwoPlanes<Q> ? 1 : 2;
  Activations rest = x;
  while (rest.n_rows > kTooFewRows) {
    const Activations rows = take_many_rows(rest);
    size_t p = 0;
    for (; p + kTogether <= panels.count; p += kTogether)
      multiply_tiles<Q, kTogether>(panels, p, rows, y, y_stride);
    for (; p < panels.count; ++p) multiply_tiles<Q, 1>(panels, p, rows, y, y_stride);
    y += rows.n_rows * y_stride;
  }
  if (rest.n_rows != 0) avx512_kernels().matmul[table_index(Q::kType)](panels, rest, y, y_stride);
}

// Four products of whole tiles for each step, from registers. Of bytes that differ: equal ones take
// less power, and a processor multiplies them faster than any weights.
uint64_t peak_tiles(size_t n_steps) {
  alignas(64) uint8_t bytes[16][64];
  uint32_t random = 1;
  for (auto& row : bytes) {
    for (uint8_t& byte : row)
      byte = static_cast<uint8_t>((random = random * 1664525 + 1013904223) >> 24);
  }
  TileConfig config;
  for (size_t tile = 0; tile < 8; ++tile) config.set(tile, 16, 64);
  configure_tiles(config);
  finish_stores(bytes);
  _tile_loadd(4, bytes, 64);
  _tile_loadd(5, bytes, 64);
  _tile_loadd(6, bytes, 64);
  _tile_loadd(7, bytes, 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (size_t step = 0; step < n_steps; ++step) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
  return n_steps * 4 * 2 * 16 * 16 * 64;
}

template <class... Q>
void use_tiles(CodesList<Q...>, KernelTable& table) {
  ((table.matmul[table_index(Q::kType)] = matmul_tiles<Q>), ...);
}

KernelTable make_tile_table() {
  KernelTable table = avx512_kernels();
  table.isa = Isa::kAmx;
  use_tiles(AllCodes(), table);
  table.peak_int8 = peak_tiles;
  table.peak_int4 = peak_tiles;
  return table;
}
