// A step's tokens in the order of the experts that they chose. Private to cpu/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/arena.h"
#include "ops/backend.h"

namespace mixtral::cpu {

/// The (token, choice) pairs in expert order: pairs[offsets[e] .. offsets[e + 1]) chose expert e.
struct Grouping {
  std::span<uint32_t> pairs;    ///< token * K + choice, ascending for each expert
  std::span<uint32_t> offsets;  ///< [E + 1]
  std::span<uint32_t> experts;  ///< that have tokens, most loaded first

  size_t count(size_t expert) const { return offsets[expert + 1] - offsets[expert]; }
};

Grouping group_by_expert(Arena& arena, const Routing& routing, size_t n_experts);

}  // namespace mixtral::cpu
