// For matmul_many-inl.h: codes times their integer scales, where the products fit a byte. Then the
// sums of a block of 256 need nothing in between. Included by table_avx512*.cpp inside their
// anonymous namespace and target region.

// What the products of Q are counted from, so that they are not negative: those of Q2_K are 0 to
// 45, those of Q3_K -124 to 128.
template <class Q>
constexpr int kProductZero = Q::kType == Type::kQ3_K ? 127 : 0;

// A code of two bits looks up its product among the four of its row.
template <>
struct ScaledCodes<CodesQ2_K> {
  static constexpr bool kUsed = true;

  [[gnu::always_inline]] static inline void multiply(U8x64 (&codes)[4], Scale scale) {
    const U8x64 products = multiples(scale);
#pragma GCC unroll 4
    for (U8x64& unit : codes) unit = look_up_lanes(products, unit);
  }
};

// Four times as large, a code of three bits counts from 16: sums begin with what ChunkQ8x256 has
// for codes of five bits.
template <>
struct FewRowsCodesOf<CodesQ3_K> {
  using Type = ThreeBits<2>;
};

template <class Q>
struct ProductOperands {
  static_assert(Q::kType == Type::kQ2_K || Q::kType == Type::kQ3_K);

  static void unpack(const PanelChunk<Q>& chunk, UnpackedChunk& out) {
    unpack_scales(chunk, out);
    unpack_all_codes<Q>(chunk, [&](size_t unit, const U8x64(&w)[4]) {
      const Scale scale = load_i32(out.scales[unit * 4 / Q::kSubCols]);
      U8x64 products[4] = {w[0], w[1], w[2], w[3]};
      if constexpr (ScaledCodes<Q>::kUsed) {
        ScaledCodes<Q>::multiply(products, scale);
      } else {  // 127 - n is n with all bits but the highest one turned
        const __m512i negated = negative(twice_in_32(scale));
#pragma GCC unroll 4
        for (U8x64& product : products)
          product = xor_bytes(low_bytes_of(products_of(product, negated, Q::kZero)), 0x7F);
      }
#pragma GCC unroll 4
      for (size_t u = 0; u < 4; ++u) store_bytes(out.codes[unit + u], products[u]);
    });
  }

  template <int M, int P>
  [[gnu::always_inline]] static inline void sum_block(const UnpackedChunk (&weights)[P],
                                                      Source<Q> source, size_t block,
                                                      const ChunkQ8x256* x,
                                                      I32x16 (&totals)[P][M]) {
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) totals[p][m] = set1_i32(-kProductZero<Q> * x[m].sum);
    }
    for (size_t unit = 0; unit < kChunkCols / 4; unit += 4) {
      prefetch_at<Q, P>(source, block, 4 * unit);
#pragma GCC unroll 4
      for (size_t u = 0; u < 4; ++u) add_unpacked<Q::kBits>(weights, x, unit + u, totals);
    }
  }
};

template <class Q>
using OperandsOf = std::conditional_t<Q::kType == Type::kQ2_K || Q::kType == Type::kQ3_K,
                                      ProductOperands<Q>, CodeOperands<Q>>;
