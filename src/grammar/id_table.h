// From contents to the ids that stand for them, where the contents are kept elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/function_ref.h"

namespace mixtral {

/// A hash table of ids. Not thread-safe.
class IdTable {
 public:
  /// The id with this hash for which `is_it` holds.
  std::optional<uint32_t> find(uint64_t hash, FunctionRef<bool(uint32_t)> is_it) const;
  /// `id` must not be there.
  void insert(uint64_t hash, uint32_t id);
  size_t size_bytes() const { return slots_.size() * sizeof(Slot); }

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t id = UINT32_MAX;  // UINT32_MAX: free
  };
  void place(Slot slot);

  std::vector<Slot> slots_;  // a power of two of them, at most half of them taken
  size_t n_ids_ = 0;
};

/// Adds a word to a hash.
inline uint64_t hash_with(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 32);
}

}  // namespace mixtral
