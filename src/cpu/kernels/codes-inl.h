// How each quantised type's codes and scales come out of a panel (panel_layout.h). Included by
// table_*.cpp inside their anonymous namespace and target region.
//
// A weight is step * (code - kZero) - min. One struct per type says
//   kBits        how large the codes are
//   kSubCols     columns that share a step
//   kGroupCols   columns that one pass over the planes yields
//   kMins        kNone, kBase (+ m, one per block) or kPerSub (- dmin * min)
//   codes<C>()   columns 16 C to 16 C + 15 of a group, as add_unit() wants them, one unit of four
//   each

enum class Mins { kNone, kBase, kPerSub };

template <Type kOfType, int kCodeBits, int kZeroCode, size_t kColsOfSub, size_t kColsOfGroup,
          Mins kKindOfMins>
struct Codes {
  static constexpr Type kType = kOfType;
  static constexpr PanelLayout kLayout = panel_layout(kOfType);
  static constexpr size_t kBlockCols = kLayout.block_cols;
  static constexpr int kBits = kCodeBits;
  static constexpr int kZero = kZeroCode;
  static constexpr size_t kSubCols = kColsOfSub;
  static constexpr size_t kGroupCols = kColsOfGroup;
  static constexpr Mins kMins = kKindOfMins;
  static constexpr bool kHasScales = kLayout.n_scales != 0;

  // A 64-byte unit of the planes, and a vector of the small integer scales.
  [[gnu::always_inline]] static inline U8x64 low(const uint8_t* body, size_t unit) {
    return load_bytes(body + kLayout.low_offset(unit));
  }
  [[gnu::always_inline]] static inline U8x64 high(const uint8_t* body, size_t unit) {
    return load_bytes(body + kLayout.high_offset(unit));
  }
  static const uint8_t* scales(const uint8_t* body, size_t index) {
    return body + kLayout.scales_offset() + 16 * index;
  }
};

// The integer scales of sub-block `sub`, one byte for each row.
template <class Q>
[[gnu::always_inline]] inline B16 sub_scale(const uint8_t* body, size_t sub) {
  const B16 bytes = load_16(Q::scales(body, sub));
  if constexpr (Q::kType == Type::kQ2_K) return nibbles<0>(bytes);
  return bytes;
}

// The step of sub-block `sub`. Products d * scale are exact in float: 11 bits times at most 8.
template <class Q>
[[gnu::always_inline]] inline F32x16 step_of(F32x16 d, [[maybe_unused]] const uint8_t* body,
                                             [[maybe_unused]] size_t sub) {
  if constexpr (Q::kHasScales) return mul(d, to_f32(signed_lanes(sub_scale<Q>(body, sub))));
  return d;
}

// kPerSub: the mins of sub-block `sub`, below 64.
template <class Q>
[[gnu::always_inline]] inline B16 sub_min(const uint8_t* body, size_t sub) {
  if constexpr (Q::kType == Type::kQ2_K) return nibbles<4>(load_16(Q::scales(body, sub)));
  return load_16(Q::scales(body, 8 + sub));
}

// ---- Blocks of 32. Columns 0 to 15 lie in the low nibbles, 16 to 31 in the high ones.

template <Type kOfType, int kZeroCode, Mins kKindOfMins>
struct FourBits : Codes<kOfType, 4, kZeroCode, 32, 32, kKindOfMins> {
  template <int C>
  [[gnu::always_inline]] static inline void codes(const uint8_t* body, size_t /*group*/,
                                                  U8x64 (&w)[4]) {
#pragma GCC unroll 4
    for (size_t u = 0; u < 4; ++u) w[u] = field<4 * C, 4, 0>(FourBits::low(body, u));
  }
};
using CodesQ4_0 = FourBits<Type::kQ4_0, 8, Mins::kNone>;
using CodesQ4_1 = FourBits<Type::kQ4_1, 0, Mins::kBase>;

// The fifth bit of columns 4j to 4j + 3 is bit j of the high plane's only unit.
template <Type kOfType, int kZeroCode, Mins kKindOfMins>
struct FiveBits : Codes<kOfType, 5, kZeroCode, 32, 32, kKindOfMins> {
  template <int C, int U>
  [[gnu::always_inline]] static inline U8x64 code(const uint8_t* body) {
    return or_bytes(field<4 * C, 4, 0>(FiveBits::low(body, U)),
                    field<4 * C + U, 1, 4>(FiveBits::high(body, 0)));
  }
  template <int C>
  [[gnu::always_inline]] static inline void codes(const uint8_t* body, size_t /*group*/,
                                                  U8x64 (&w)[4]) {
    w[0] = code<C, 0>(body);
    w[1] = code<C, 1>(body);
    w[2] = code<C, 2>(body);
    w[3] = code<C, 3>(body);
  }
};
using CodesQ5_0 = FiveBits<Type::kQ5_0, 16, Mins::kNone>;
using CodesQ5_1 = FiveBits<Type::kQ5_1, 0, Mins::kBase>;

struct CodesQ8_0 : Codes<Type::kQ8_0, 8, 128, 32, 32, Mins::kNone> {
  template <int C>
  [[gnu::always_inline]] static inline void codes(const uint8_t* body, size_t /*group*/,
                                                  U8x64 (&w)[4]) {
#pragma GCC unroll 4
    for (size_t u = 0; u < 4; ++u)
      w[u] = kSignedBytes ? xor_bytes(low(body, 4 * C + u), 0x80) : low(body, 4 * C + u);
  }
};

// The levels of IQ4_NL and IQ4_XS as bytes: plus 128 where add_unit() takes unsigned codes.
struct Iq4Levels {
  uint8_t level[16];
};
constexpr Iq4Levels iq4_levels() {
  Iq4Levels out{};
  for (size_t i = 0; i < 16; ++i)
    out.level[i] = static_cast<uint8_t>(kIq4Values[i] + (kSignedBytes ? 0 : 128));
  return out;
}
constexpr Iq4Levels kIq4Levels = iq4_levels();

template <Type kOfType>
struct Iq4 : Codes<kOfType, 8, 128, 32, 32, Mins::kNone> {
  template <int C>
  [[gnu::always_inline]] static inline void codes(const uint8_t* body, size_t group,
                                                  U8x64 (&w)[4]) {
#pragma GCC unroll 4
    for (size_t u = 0; u < 4; ++u)
      w[u] = lookup(kIq4Levels.level, field<4 * C, 4, 0>(Iq4::low(body, 4 * group + u)));
  }
};
using CodesIQ4_NL = Iq4<Type::kIQ4_NL>;
using CodesIQ4_XS = Iq4<Type::kIQ4_XS>;

// ---- Blocks of 256

// Group g of 64 columns: the low nibbles of eight units are columns 0 to 31, the high ones the
// rest.
struct CodesQ4_K : Codes<Type::kQ4_K, 4, 0, 32, 64, Mins::kPerSub> {
  template <int C>
  [[gnu::always_inline]] static inline void codes(const uint8_t* body, size_t group,
                                                  U8x64 (&w)[4]) {
#pragma GCC unroll 4
    for (size_t u = 0; u < 4; ++u)
      w[u] = field<C / 2 * 4, 4, 0>(low(body, 8 * group + C % 2 * 4 + u));
  }
};

// As Q4_K; the fifth bit of sub-block s is bit s of the high plane's eight units.
struct CodesQ5_K : Codes<Type::kQ5_K, 5, 0, 32, 64, Mins::kPerSub> {
  template <int C>
  [[gnu::always_inline]] static inline void codes(const uint8_t* body, size_t group,
                                                  U8x64 (&w)[4]) {
    const int shift = static_cast<int>(2 * group);
#pragma GCC unroll 4
    for (size_t u = 0; u < 4; ++u) {
      const size_t unit = C % 2 * 4 + u;
      w[u] = or_bytes(field<C / 2 * 4, 4, 0>(low(body, 8 * group + unit)),
                      field<C / 2, 1, 4>(shift_right(high(body, unit), shift)));
    }
  }
};

// Group g of 128 columns: field C / 2 of eight units.
struct CodesQ2_K : Codes<Type::kQ2_K, 2, 0, 16, 128, Mins::kPerSub> {
  template <int C>
  [[gnu::always_inline]] static inline void codes(const uint8_t* body, size_t group,
                                                  U8x64 (&w)[4]) {
#pragma GCC unroll 4
    for (size_t u = 0; u < 4; ++u)
      w[u] = field<C / 2 * 2, 2, 0>(low(body, 8 * group + C % 2 * 4 + u));
  }
};

// As Q2_K; the third bit of columns 32 j to 32 j + 31 is bit j of the high plane's eight units.
struct CodesQ3_K : Codes<Type::kQ3_K, 3, 4, 16, 128, Mins::kNone> {
  template <int C>
  [[gnu::always_inline]] static inline void codes(const uint8_t* body, size_t group,
                                                  U8x64 (&w)[4]) {
    const int shift = static_cast<int>(4 * group);
#pragma GCC unroll 4
    for (size_t u = 0; u < 4; ++u) {
      const size_t unit = C % 2 * 4 + u;
      w[u] = or_bytes(field<C / 2 * 2, 2, 0>(low(body, 8 * group + unit)),
                      field<C / 2, 1, 2>(shift_right(high(body, unit), shift)));
    }
  }
};

// Group g of 128 columns: nibbles C / 4 of sixteen units, above them fields C / 2 of eight units.
struct CodesQ6_K : Codes<Type::kQ6_K, 6, 32, 16, 128, Mins::kNone> {
  template <int C>
  [[gnu::always_inline]] static inline void codes(const uint8_t* body, size_t group,
                                                  U8x64 (&w)[4]) {
#pragma GCC unroll 4
    for (size_t u = 0; u < 4; ++u) {
      w[u] = or_bytes(field<C / 4 * 4, 4, 0>(low(body, 16 * group + C % 4 * 4 + u)),
                      field<C / 2 * 2, 2, 4>(high(body, 8 * group + C % 2 * 4 + u)));
    }
  }
};

// Every type of above, for tables of kernels.
template <class... Q>
struct CodesList {};
using AllCodes = CodesList<CodesQ4_0, CodesQ4_1, CodesQ5_0, CodesQ5_1, CodesQ8_0, CodesQ2_K,
                           CodesQ3_K, CodesQ4_K, CodesQ5_K, CodesQ6_K, CodesIQ4_NL, CodesIQ4_XS>;
