// Cached keys and values of one sequence, as operations see them. Their owner lives in engine/.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace mixtral {

/// Positions per page. Attention sums over the cache page by page, so this is part of the numerics.
inline constexpr size_t kPageTokens = 64;

enum class KvType { kF16, kF32 };
constexpr std::string_view kv_type_name(KvType type) {
  return type == KvType::kF16 ? "f16" : "f32";
}

/// A page holds kPageTokens positions of every layer: [n_layers, 2 (K, V), n_kv_heads, kPageTokens,
/// head_dim].
struct KvLayout {
  KvType type = KvType::kF16;
  size_t n_layers = 0, n_kv_heads = 0, head_dim = 0;

  size_t element_bytes() const { return type == KvType::kF16 ? 2 : 4; }
  size_t head_bytes() const { return kPageTokens * head_dim * element_bytes(); }
  size_t page_bytes() const { return n_layers * 2 * n_kv_heads * head_bytes(); }
  size_t key_offset(size_t layer, size_t kv_head) const {
    return (layer * 2 * n_kv_heads + kv_head) * head_bytes();
  }
  size_t value_offset(size_t layer, size_t kv_head) const {
    return ((layer * 2 + 1) * n_kv_heads + kv_head) * head_bytes();
  }
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
