// The pages that hold all sequences' keys and values: a fixed number, shared by counting holders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "core/result.h"
#include "ops/kv_view.h"

namespace mixtral {

/// Index of a page in its pool.
using PageId = int32_t;
inline constexpr PageId kNoPage = -1;

/// Memory becomes real page by page as pages are taken; none of the functions but create()
/// allocates. Not thread-safe.
class KvPool {
 public:
  /// Fails with kTooLarge when the system refuses the address space.
  static Result<KvPool> create(const KvLayout& layout, size_t n_pages);

  const KvLayout& layout() const { return layout_; }
  size_t n_pages() const { return holders_.size(); }
  size_t n_free() const { return free_.size(); }
  /// Pages that only the prefix cache holds: it gives them up when they are needed.
  size_t n_reusable() const { return n_reusable_; }
  std::byte* data(PageId page) const;
  size_t n_holders(PageId page) const { return holders_[static_cast<size_t>(page)]; }

  /// A page with one holder; kNoPage if none is free.
  PageId take();
  /// One holder more.
  void share(PageId page);
  /// One holder less; after the last one the page is free.
  void drop(PageId page);
  /// share() and drop() of the prefix cache, which holds a page once at most.
  void keep(PageId page);
  void unkeep(PageId page);

 private:
  KvPool() = default;
  void change(PageId page, int n_more, bool kept);

  KvLayout layout_;
  AlignedBuffer memory_;
  std::vector<uint32_t> holders_;
  std::vector<bool> kept_;    // held by the prefix cache, among others
  std::vector<PageId> free_;  // the last one is taken first
  size_t n_reusable_ = 0;
};

}  // namespace mixtral
