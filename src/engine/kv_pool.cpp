#include "engine/kv_pool.h"

#include <limits>

#include "core/check.h"
#include "core/checked.h"

namespace mixtral {

Result<KvPool> KvPool::create(const KvLayout& layout, size_t n_pages) {
  const auto bytes = (CheckedSize(n_pages) * CheckedSize(layout.page_bytes())).value();
  KvPool pool;
  if (bytes && n_pages <= std::numeric_limits<PageId>::max()) pool.memory_ = AlignedBuffer(*bytes);
  if (pool.memory_.data() == nullptr) {
    return fail(ErrorCode::kTooLarge,
                "the system refuses memory for the keys and values of {} pages of {} bytes",
                n_pages, layout.page_bytes());
  }
  pool.layout_ = layout;
  pool.holders_.resize(n_pages, 0);
  pool.kept_.resize(n_pages, false);
  pool.free_.reserve(n_pages);
  for (size_t page = n_pages; page-- > 0;) pool.free_.push_back(static_cast<PageId>(page));
  return pool;
}

std::byte* KvPool::data(PageId page) const {
  return memory_.data() + static_cast<size_t>(page) * layout_.page_bytes();
}

void KvPool::change(PageId page, int n_more, bool kept) {
  const auto index = static_cast<size_t>(page);
  if (kept_[index] && holders_[index] == 1) --n_reusable_;
  holders_[index] += static_cast<uint32_t>(n_more);
  kept_[index] = kept;
  if (kept && holders_[index] == 1) ++n_reusable_;
  if (holders_[index] == 0) free_.push_back(page);
}

PageId KvPool::take() {
  if (free_.empty()) return kNoPage;
  const PageId page = free_.back();
  free_.pop_back();
  change(page, 1, false);
  return page;
}

void KvPool::share(PageId page) {
  MIXTRAL_DCHECK(n_holders(page) > 0, "a free page is taken, not shared");
  change(page, 1, kept_[static_cast<size_t>(page)]);
}

void KvPool::drop(PageId page) {
  MIXTRAL_DCHECK(n_holders(page) > 0, "nobody holds the page");
  change(page, -1, kept_[static_cast<size_t>(page)]);
}

void KvPool::keep(PageId page) {
  MIXTRAL_DCHECK(!kept_[static_cast<size_t>(page)], "the prefix cache holds a page once");
  change(page, 1, true);
}

void KvPool::unkeep(PageId page) {
  MIXTRAL_DCHECK(kept_[static_cast<size_t>(page)], "the prefix cache does not hold the page");
  change(page, -1, false);
}

}  // namespace mixtral
