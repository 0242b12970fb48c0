// Keys and values to the cache and back to floats (layout: ops/kv_view.h). Included by table_*.cpp
// inside their anonymous namespace and target region.

constexpr size_t kKvScaleDims = 32;  // dimensions that share a scale in kQ8_0

template <class T>
void put(std::byte* part, size_t index, T value) {
  std::memcpy(part + index * sizeof(T), &value, sizeof(T));
}

// One head's numbers of one position; index(d) is the place of dimension d, scale_index(block) that
// of a scale.
template <class Index, class ScaleIndex>
void store_head(const KvLayout& layout, const float* x, std::byte* part, Index index,
                ScaleIndex scale_index) {
  const size_t n = layout.head_dim;
  switch (layout.type) {
    case KvType::kF32:
      for (size_t d = 0; d < n; ++d) put(part, index(d), x[d]);
      return;
    case KvType::kBF16:
      for (size_t d = 0; d < n; ++d) put(part, index(d), f32_to_bf16(x[d]));
      return;
    case KvType::kF16:
      for (size_t d = 0; d < n; d += 16) {
        const size_t left = n - d < 16 ? n - d : 16;
        uint16_t halves[16];
        store_f16_part(reinterpret_cast<std::byte*>(halves), load_part(x + d, left), left);
        for (size_t i = 0; i < left; ++i) put(part, index(d + i), halves[i]);
      }
      return;
    case KvType::kQ8_0: break;
  }
  std::byte* scales = part + layout.numbers_bytes();
  for (size_t first = 0; first < n; first += kKvScaleDims) {
    const size_t end = first + kKvScaleDims < n ? first + kKvScaleDims : n;
    float largest = 0;
    for (size_t d = first; d < end; ++d)
      largest = __builtin_fabsf(x[d]) > largest ? __builtin_fabsf(x[d]) : largest;
    const uint16_t stored = f32_to_f16(largest / 127.0f);
    const float scale = f16_to_f32(stored);
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    put(scales, scale_index(first / kKvScaleDims), stored);
    for (size_t d = first; d < end; ++d) {
      // Ties to even, as everywhere; the rounded scale may be a little too small for the largest.
      const float code = (x[d] * inverse + 0x1.8p23f) - 0x1.8p23f;
      const float clamped = code > 127 ? 127.0f : code < -127 ? -127.0f : code;
      put(part, index(d), static_cast<int8_t>(clamped));
    }
  }
}

void store_kv(const KvLayout& layout, size_t place, const float* k, const float* v, std::byte* keys,
              std::byte* values) {
  const size_t per_head = layout.scales_per_head();
  store_head(
      layout, k, keys, [&](size_t d) { return layout.key_index(place, d); },
      [&](size_t block) { return block * kPageTokens + place; });
  store_head(
      layout, v, values, [&](size_t d) { return layout.value_index(place, d); },
      [&](size_t block) { return place * per_head + block; });
}

// Sixteen neighbouring numbers as floats; those of kQ8_0 without their scale.
template <KvType Type>
[[gnu::always_inline]] inline F32x16 load_kv(const std::byte* from) {
  if constexpr (Type == KvType::kF16) return load_f16(from);
  if constexpr (Type == KvType::kBF16) return load_bf16(from);
  if constexpr (Type == KvType::kQ8_0) return load_i8(from);
  return load(reinterpret_cast<const float*>(from));
}
// The first n of them, zeros above.
template <KvType Type>
F32x16 load_kv_part(const std::byte* from, size_t n) {
  alignas(64) std::byte numbers[64] = {};
  std::memcpy(numbers, from, n * KvLayout{Type}.element_bytes());
  return load_kv<Type>(numbers);
}

// Positions, or places in a page: [first, end).
struct Span {
  size_t first, end;
  bool empty() const { return first >= end; }
};

// Keys of the 16 V places from `place` on, to tile [head_dim, 16 V]. Those that nobody has written
// yet may be any number, or none.
template <KvType Type, int V>
void widen_keys_of(const KvLayout& layout, const std::byte* keys, size_t place, float* tile) {
  const std::byte* scales = keys + layout.numbers_bytes();
  F32x16 scale[V];
  for (size_t d = 0; d < layout.head_dim; ++d) {
#pragma GCC unroll 2
    for (size_t v = 0; v < V; ++v) {
      const size_t at = place + 16 * v;
      F32x16 key = load_kv<Type>(keys + layout.key_index(at, d) * layout.element_bytes());
      if constexpr (Type == KvType::kQ8_0) {
        if (d % kKvScaleDims == 0)
          scale[v] = load_f16(scales + 2 * (d / kKvScaleDims * kPageTokens + at));
        key = mul(key, scale[v]);
      }
      store(tile + 16 * (V * d + v), key);
    }
  }
}

// Dimensions [d, d + 16 V) of the values of `places` of a page, zeros beyond head_dim, to tile
// [kPageTokens, 16 V].
template <KvType Type, int V>
void widen_values_of(const KvLayout& layout, const std::byte* values, size_t d, const Span& places,
                     float* tile) {
  const std::byte* scales = values + layout.numbers_bytes();
  for (size_t place = places.first; place < places.end; ++place) {
#pragma GCC unroll 2
    for (size_t v = 0; v < V; ++v) {
      const size_t at = d + 16 * v, left = layout.head_dim - at;
      const std::byte* from = values + layout.value_index(place, at) * layout.element_bytes();
      F32x16 value = left >= 16 ? load_kv<Type>(from) : load_kv_part<Type>(from, left);
      if constexpr (Type == KvType::kQ8_0) {
        uint16_t scale = 0;
        const size_t block = place * layout.scales_per_head() + at / kKvScaleDims;
        std::memcpy(&scale, scales + 2 * block, sizeof(scale));
        value = mul(value, set1(f16_to_f32(scale)));
      }
      store(tile + 16 * (V * place + v), value);
    }
  }
}

template <int V>
void widen_keys(const KvLayout& layout, const std::byte* keys, size_t place, float* tile) {
  switch (layout.type) {
    case KvType::kF16: return widen_keys_of<KvType::kF16, V>(layout, keys, place, tile);
    case KvType::kBF16: return widen_keys_of<KvType::kBF16, V>(layout, keys, place, tile);
    case KvType::kQ8_0: return widen_keys_of<KvType::kQ8_0, V>(layout, keys, place, tile);
    case KvType::kF32: return widen_keys_of<KvType::kF32, V>(layout, keys, place, tile);
  }
}

template <int V>
void widen_values(const KvLayout& layout, const std::byte* values, size_t d, const Span& places,
                  float* tile) {
  const auto widen = layout.type == KvType::kF16    ? widen_values_of<KvType::kF16, V>
                     : layout.type == KvType::kBF16 ? widen_values_of<KvType::kBF16, V>
                     : layout.type == KvType::kQ8_0 ? widen_values_of<KvType::kQ8_0, V>
                                                    : widen_values_of<KvType::kF32, V>;
  widen(layout, values, d, places, tile);
}
