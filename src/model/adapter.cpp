#include "model/adapter.h"

#include <algorithm>
#include <utility>

namespace mixtral {
namespace {

constexpr size_t kRoles = static_cast<size_t>(Role::kWDown) + 1;

size_t index_of(WeightId id) { return id.layer * kRoles + static_cast<size_t>(id.role); }

}  // namespace

Result<std::unique_ptr<const Adapter>> Adapter::load(const AdapterFile& file, Backend& backend) {
  std::unique_ptr<Adapter> adapter(new Adapter);
  adapter->rank_ = file.rank();
  for (const AdapterChange& change : file.changes()) {
    auto a = backend.load(*file.source_a(change), nullptr);
    if (!a) return with_context(std::move(a).error(), file.path());
    auto b = backend.load(*file.source_b(change), nullptr);
    if (!b) return with_context(std::move(b).error(), file.path());
    const size_t index = index_of(change.id);
    if (index >= adapter->changes_.size()) adapter->changes_.resize(index + 1);
    adapter->changes_[index] = {*std::move(a), *std::move(b)};
  }
  return adapter;
}

size_t Adapter::planned_bytes(const AdapterFile& file, const Backend& backend) {
  size_t total = 0;
  for (const AdapterChange& change : file.changes()) {
    total += backend.weight_bytes(*file.source_a(change));
    total += backend.weight_bytes(*file.source_b(change));
  }
  return total;
}

LowRank Adapter::change(WeightId id) const {
  const size_t index = index_of(id);
  if (index >= changes_.size()) return {};
  return {changes_[index].a.get(), changes_[index].b.get()};
}

}  // namespace mixtral
