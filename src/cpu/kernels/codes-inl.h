// How each quantised type's codes and scales come out of a panel (panel_layout.h). Included by
// table_*.cpp inside their anonymous namespace and target region.
//
// A weight is step * (code - kZero) - min. One struct per type says
//   kBits        how large the codes are
//   kSubCols     columns that share a step
//   kGroupCols   columns whose codes lie together: those of the next group of a block lie the same
//                way, kGroupBytes further
//   kMins        kNone, kBase (+ m, one per block) or kPerSub (- dmin * min)
//   kStepFactor  what the step is multiplied by, because the codes are larger than they are stored
//   code<N>()    columns 4 N to 4 N + 3 of a group, as add_unit() wants them

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
  static constexpr size_t kGroupBytes =
      16 * (kLayout.low_bytes + kLayout.high_bytes) * kGroupCols / kBlockCols;
  static constexpr Mins kMins = kKindOfMins;
  static constexpr bool kHasScales = kLayout.n_scales != 0;
  static constexpr float kStepFactor = 1;

  // A 64-byte unit of a group's planes.
  template <size_t Unit>
  [[gnu::always_inline]] static inline U8x64 low(const uint8_t* planes) {
    constexpr size_t kOffset = kLayout.low_offset(Unit);
    return load_bytes(planes + kOffset);
  }
  template <size_t Unit>
  [[gnu::always_inline]] static inline U8x64 high(const uint8_t* planes) {
    constexpr size_t kOffset = kLayout.high_offset(Unit);
    return load_bytes(planes + kOffset);
  }
  // A vector of a block's small integer scales.
  static const uint8_t* scales(const uint8_t* body, size_t index) {
    return body + kLayout.scales_offset() + 16 * index;
  }
};

// Columns 16 C to 16 C + 15 of a group of a block, one unit of four each.
template <class Q, int C>
[[gnu::always_inline]] inline void codes_of(const uint8_t* body, size_t group, U8x64 (&w)[4]) {
  const uint8_t* planes = body + group * Q::kGroupBytes;
  w[0] = Q::template code<4 * C>(planes);
  w[1] = Q::template code<4 * C + 1>(planes);
  w[2] = Q::template code<4 * C + 2>(planes);
  w[3] = Q::template code<4 * C + 3>(planes);
}

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
  template <int N>
  [[gnu::always_inline]] static inline U8x64 code(const uint8_t* planes) {
    return field<N / 4 * 4, 4, 0>(FourBits::template low<N % 4>(planes));
  }
};
using CodesQ4_0 = FourBits<Type::kQ4_0, 8, Mins::kNone>;
using CodesQ4_1 = FourBits<Type::kQ4_1, 0, Mins::kBase>;

// The fifth bit of columns 4j to 4j + 3 is bit j of the high plane's only unit.
template <Type kOfType, int kZeroCode, Mins kKindOfMins>
struct FiveBits : Codes<kOfType, 5, kZeroCode, 32, 32, kKindOfMins> {
  template <int N>
  [[gnu::always_inline]] static inline U8x64 code(const uint8_t* planes) {
    return or_bytes(field<N / 4 * 4, 4, 0>(FiveBits::template low<N % 4>(planes)),
                    field<N, 1, 4>(FiveBits::template high<0>(planes)));
  }
};
using CodesQ5_0 = FiveBits<Type::kQ5_0, 16, Mins::kNone>;
using CodesQ5_1 = FiveBits<Type::kQ5_1, 0, Mins::kBase>;

struct CodesQ8_0 : Codes<Type::kQ8_0, 8, 128, 32, 32, Mins::kNone> {
  template <int N>
  [[gnu::always_inline]] static inline U8x64 code(const uint8_t* planes) {
    const U8x64 w = low<N>(planes);
    return kSignedBytes ? xor_bytes(w, 0x80) : w;
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
  template <int N>
  [[gnu::always_inline]] static inline U8x64 code(const uint8_t* planes) {
    return lookup(kIq4Levels.level, field<N / 4 * 4, 4, 0>(Iq4::template low<N % 4>(planes)));
  }
};
using CodesIQ4_NL = Iq4<Type::kIQ4_NL>;
using CodesIQ4_XS = Iq4<Type::kIQ4_XS>;

// ---- Blocks of 256

// The low nibbles of eight units are columns 0 to 31, the high ones 32 to 63.
struct CodesQ4_K : Codes<Type::kQ4_K, 4, 0, 32, 64, Mins::kPerSub> {
  template <int N>
  [[gnu::always_inline]] static inline U8x64 code(const uint8_t* planes) {
    return field<N / 8 * 4, 4, 0>(low<N % 8>(planes));
  }
};

// As four groups of Q4_K; the fifth bit of columns 32 j to 32 j + 31 is bit j of the high plane's
// eight units.
struct CodesQ5_K : Codes<Type::kQ5_K, 5, 0, 32, 256, Mins::kPerSub> {
  template <int N>
  [[gnu::always_inline]] static inline U8x64 code(const uint8_t* planes) {
    return or_bytes(field<N / 8 % 2 * 4, 4, 0>(low<N / 16 * 8 + N % 8>(planes)),
                    field<N / 8, 1, 4>(high<N % 8>(planes)));
  }
};

// Four fields of eight units.
struct CodesQ2_K : Codes<Type::kQ2_K, 2, 0, 16, 128, Mins::kPerSub> {
  template <int N>
  [[gnu::always_inline]] static inline U8x64 code(const uint8_t* planes) {
    return field<N / 8 * 2, 2, 0>(low<N % 8>(planes));
  }
};

// As two groups of Q2_K; the third bit of columns 32 j to 32 j + 31 is bit j of the high plane's
// eight units. The codes are 2^kUp times as large as they are stored, and their steps as much
// smaller.
template <int kUp>
struct ThreeBits : Codes<Type::kQ3_K, 3 + kUp, 4 << kUp, 16, 256, Mins::kNone> {
  static constexpr float kStepFactor = 1.0f / (1 << kUp);

  template <int N>
  [[gnu::always_inline]] static inline U8x64 code(const uint8_t* planes) {
    return or_bytes(
        field<N / 8 % 4 * 2, 2, kUp>(ThreeBits::template low<N / 32 * 8 + N % 8>(planes)),
        field<N / 8, 1, 2 + kUp>(ThreeBits::template high<N % 8>(planes)));
  }
};
using CodesQ3_K = ThreeBits<0>;

// In each half of a block the nibbles of sixteen units, above them four fields of eight units. The
// halves lie alike, but are one group: the sums of its many sub-blocks then begin at constant
// places.
struct CodesQ6_K : Codes<Type::kQ6_K, 6, 32, 16, 256, Mins::kNone> {
  template <int N>
  [[gnu::always_inline]] static inline U8x64 code(const uint8_t* planes) {
    return or_bytes(field<N / 16 % 2 * 4, 4, 0>(low<N / 32 * 16 + N % 16>(planes)),
                    field<N / 8 % 4 * 2, 2, 4>(high<N / 32 * 8 + N % 8>(planes)));
  }
};

// Every type of above, for tables of kernels.
template <class... Q>
struct CodesList {};
using AllCodes = CodesList<CodesQ4_0, CodesQ4_1, CodesQ5_0, CodesQ5_1, CodesQ8_0, CodesQ2_K,
                           CodesQ3_K, CodesQ4_K, CodesQ5_K, CodesQ6_K, CodesIQ4_NL, CodesIQ4_XS>;
