// Cached keys and values of one sequence, as operations see them. Their owner lives in engine/.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace mixtral {

/// Positions per page. Attention sums over the cache page by page, so this is part of the numerics.
inline constexpr size_t kPageTokens = 64;

/// How a cache stores numbers. kQ8_0: signed bytes with one F16 scale per 32 dimensions of a head.
enum class KvType { kF16, kBF16, kQ8_0, kF32 };
inline constexpr std::array<std::string_view, 4> kKvTypeNames = {"f16", "bf16", "q8_0", "f32"};

constexpr std::string_view kv_type_name(KvType type) {
  return kKvTypeNames[static_cast<size_t>(type)];
}
constexpr std::optional<KvType> kv_type_from_name(std::string_view name) {
  for (size_t i = 0; i < kKvTypeNames.size(); ++i) {
    if (kKvTypeNames[i] == name) return static_cast<KvType>(i);
  }
  return std::nullopt;
}

/// A page holds kPageTokens positions of every layer: [n_layers, 2 (keys, values), n_kv_heads]
/// parts. A part holds its numbers, then, if it is kQ8_0, its scales:
///
///   keys    [head_dim, kPageTokens], so that a load brings one dimension of neighbouring
///   positions;
///           scales [scales_per_head(), kPageTokens]
///   values  [kPageTokens, head_dim]; scales [kPageTokens, scales_per_head()]
struct KvLayout {
  KvType type = KvType::kF16;
  size_t n_layers = 0, n_kv_heads = 0, head_dim = 0;

  constexpr size_t element_bytes() const {
    return type == KvType::kF32 ? 4 : type == KvType::kQ8_0 ? 1 : 2;
  }
  constexpr size_t scales_per_head() const {
    return type == KvType::kQ8_0 ? (head_dim + 31) / 32 : 0;
  }
  constexpr size_t numbers_bytes() const { return kPageTokens * head_dim * element_bytes(); }
  constexpr size_t part_bytes() const {
    return numbers_bytes() + kPageTokens * scales_per_head() * 2;
  }
  constexpr size_t page_bytes() const { return n_layers * 2 * n_kv_heads * part_bytes(); }

  constexpr size_t keys_offset(size_t layer, size_t kv_head) const {
    return (layer * 2 * n_kv_heads + kv_head) * part_bytes();
  }
  constexpr size_t values_offset(size_t layer, size_t kv_head) const {
    return ((layer * 2 + 1) * n_kv_heads + kv_head) * part_bytes();
  }
  /// The index, in its part, of one number of the position that is `place`-th in the page.
  constexpr size_t key_index(size_t place, size_t d) const { return d * kPageTokens + place; }
  constexpr size_t value_index(size_t place, size_t d) const { return place * head_dim + d; }
};

/// Page p holds positions [p * kPageTokens, (p + 1) * kPageTokens); nullptr where a sliding window
/// has moved past the page. Borrowed.
struct KvView {
  KvLayout layout;
  std::span<std::byte* const> pages;
};

/// Consecutive rows of a step that belong to one sequence, at consecutive positions.
struct SequenceRows {
  size_t first_row = 0;
  size_t n_rows = 0;
  size_t first_position = 0;
  KvView kv;
};

}  // namespace mixtral
