#include "grammar/id_table.h"

#include <utility>

namespace mixtral {

std::optional<uint32_t> IdTable::find(uint64_t hash, FunctionRef<bool(uint32_t)> is_it) const {
  if (slots_.empty()) return std::nullopt;
  const auto wanted = static_cast<uint32_t>(hash);
  for (size_t at = wanted & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.id == UINT32_MAX) return std::nullopt;
    if (slot.hash == wanted && is_it(slot.id)) return slot.id;
  }
}

void IdTable::insert(uint64_t hash, uint32_t id) {
  if (2 * (n_ids_ + 1) > slots_.size()) {
    std::vector<Slot> old(slots_.empty() ? 64 : 2 * slots_.size());
    std::swap(old, slots_);
    for (const Slot& slot : old) {
      if (slot.id != UINT32_MAX) place(slot);
    }
  }
  place({static_cast<uint32_t>(hash), id});
  ++n_ids_;
}

void IdTable::place(Slot slot) {
  size_t at = slot.hash & (slots_.size() - 1);
  while (slots_[at].id != UINT32_MAX) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = slot;
}

}  // namespace mixtral
