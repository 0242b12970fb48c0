// How the attention kernels divide their scratch memory.
#pragma once

#include <cstddef>

#include "ops/kv_view.h"

namespace mixtral::cpu {

/// Rows of an AttentionTask that share one pass over the cache. So many that widening it and
/// waiting for it cost little beside their work; so few that 128 queries of 128 dimensions stay in
/// L2.
constexpr size_t attention_tile_rows(size_t group) { return group < 128 ? 128 / group : 1; }

/// Registers of 16 numbers side by side in a tile, at most.
inline constexpr size_t kMaxTileVectors = 2;

/// Offsets in floats, for up to attention_tile_rows() rows.
struct AttentionScratch {
  size_t padded_dim;  ///< head_dim up to a multiple of 16; the padding is zero
  size_t queries, results, scores, largest, sums, tile, floats;

  constexpr AttentionScratch(size_t group, size_t head_dim)
      : padded_dim((head_dim + 15) / 16 * 16) {
    const size_t n_queries = group * attention_tile_rows(group);
    const size_t n_queries_padded = (n_queries + 15) / 16 * 16;
    queries = 0;                                 // [n_queries, padded_dim]
    results = queries + n_queries * padded_dim;  // [n_queries, padded_dim]
    scores = results + n_queries * padded_dim;   // [n_queries, kPageTokens]
    largest = scores + n_queries * kPageTokens;  // [n_queries]
    sums = largest + n_queries_padded;           // [n_queries]
    // As floats: keys of some places [padded_dim, 16 V], or some dimensions of values
    // [kPageTokens, 16 V].
    tile = sums + n_queries_padded;
    const size_t longer = padded_dim > kPageTokens ? padded_dim : kPageTokens;
    floats = tile + longer * 16 * kMaxTileVectors;
  }
};

}  // namespace mixtral::cpu
