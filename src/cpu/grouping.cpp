#include "cpu/grouping.h"

#include <algorithm>

namespace mixtral::cpu {

Grouping group_by_expert(Arena& arena, const Routing& routing, size_t n_experts) {
  const size_t n_tokens = routing.expert_ids.rows(), k = routing.expert_ids.cols();
  Grouping groups = {arena.take<uint32_t>(n_tokens * k), arena.take<uint32_t>(n_experts + 1),
                     arena.take<uint32_t>(n_experts)};
  std::fill(groups.offsets.begin(), groups.offsets.end(), 0u);
  for (size_t t = 0; t < n_tokens; ++t) {
    for (const int32_t expert : routing.expert_ids.row_span(t)) {
      ++groups.offsets[static_cast<size_t>(expert) + 1];
    }
  }
  for (size_t e = 0; e < n_experts; ++e) groups.offsets[e + 1] += groups.offsets[e];
  const std::span<uint32_t> next = arena.take<uint32_t>(n_experts);
  std::copy_n(groups.offsets.begin(), n_experts, next.begin());
  for (size_t t = 0; t < n_tokens; ++t) {
    for (size_t choice = 0; choice < k; ++choice) {
      const auto expert = static_cast<size_t>(routing.expert_ids.row(t)[choice]);
      groups.pairs[next[expert]++] = static_cast<uint32_t>(t * k + choice);
    }
  }
  size_t active = 0;
  for (size_t e = 0; e < n_experts; ++e) {
    if (groups.count(e) != 0) groups.experts[active++] = static_cast<uint32_t>(e);
  }
  groups.experts = groups.experts.first(active);
  // Not stable_sort, which allocates.
  std::sort(groups.experts.begin(), groups.experts.end(), [&](uint32_t a, uint32_t b) {
    return groups.count(a) != groups.count(b) ? groups.count(a) > groups.count(b) : a < b;
  });
  return groups;
}

}  // namespace mixtral::cpu
