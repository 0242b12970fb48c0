#include "engine/kv_sequence.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/check.h"

namespace mixtral {

// A window and a chunk may both begin and end inside a page.
size_t pages_per_sequence(size_t context_len, size_t sliding_window, size_t max_chunk) {
  const size_t all = pages_of(context_len);
  if (sliding_window == 0 || sliding_window >= context_len || max_chunk >= context_len) return all;
  return std::min(all, (sliding_window + max_chunk) / kPageTokens + 2);
}

KvSequence::KvSequence(KvPool& pool, size_t context_len, size_t sliding_window)
    : pool_(&pool),
      context_len_(context_len),
      sliding_window_(sliding_window),
      pages_(pages_of(context_len), kNoPage),
      data_(pages_of(context_len), nullptr) {}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(other.pool_),
      context_len_(other.context_len_),
      sliding_window_(other.sliding_window_),
      n_tokens_(std::exchange(other.n_tokens_, 0)),
      n_released_(std::exchange(other.n_released_, 0)),
      pages_(std::move(other.pages_)),
      data_(std::move(other.data_)) {}

KvSequence& KvSequence::operator=(KvSequence&& other) noexcept {
  if (this == &other) return *this;
  clear();
  pool_ = other.pool_;
  context_len_ = other.context_len_;
  sliding_window_ = other.sliding_window_;
  n_tokens_ = std::exchange(other.n_tokens_, 0);
  n_released_ = std::exchange(other.n_released_, 0);
  pages_ = std::move(other.pages_);
  data_ = std::move(other.data_);
  return *this;
}

size_t KvSequence::first_visible_page() const {
  return first_visible(n_tokens_, sliding_window_) / kPageTokens;
}

bool KvSequence::last_page_is_shared() const {
  if (n_tokens_ % kPageTokens == 0) return false;
  const PageId last = pages_[n_tokens_ / kPageTokens];
  return last != kNoPage && pool_->n_holders(last) > 1;
}

void KvSequence::set(size_t index, PageId page) {
  pages_[index] = page;
  data_[index] = page == kNoPage ? nullptr : pool_->data(page);
}

void KvSequence::release(size_t first_page, size_t end_page) {
  for (size_t index = first_page; index < end_page; ++index) {
    if (pages_[index] == kNoPage) continue;
    pool_->drop(pages_[index]);
    set(index, kNoPage);
  }
}

void KvSequence::forget_unseen() {
  const size_t first = first_visible_page();
  release(std::min(n_released_, first), first);
  n_released_ = std::max(n_released_, first);
}

size_t KvSequence::pages_needed(size_t count) const {
  if (count == 0) return 0;
  return pages_of(n_tokens_ + count) - pages_of(n_tokens_) + (last_page_is_shared() ? 1 : 0);
}

bool KvSequence::extend(size_t count) {
  MIXTRAL_CHECK(count <= context_len_ - n_tokens_, "more positions than the sequence was made for");
  forget_unseen();
  if (count == 0) return true;
  if (pages_needed(count) > pool_->n_free()) return false;
  if (last_page_is_shared()) {
    const size_t index = n_tokens_ / kPageTokens;
    const PageId shared = pages_[index], copy = pool_->take();
    std::memcpy(pool_->data(copy), pool_->data(shared), pool_->layout().page_bytes());
    pool_->drop(shared);
    set(index, copy);
  }
  const size_t end = pages_of(n_tokens_ + count);
  for (size_t index = pages_of(n_tokens_); index < end; ++index) set(index, pool_->take());
  n_tokens_ += count;
  return true;
}

size_t KvSequence::truncate(size_t n_tokens) {
  if (n_tokens >= n_tokens_) return n_tokens_;
  if (first_visible(n_tokens, sliding_window_) / kPageTokens < n_released_) n_tokens = 0;
  release(n_tokens == 0 ? 0 : pages_of(n_tokens), pages_of(n_tokens_));
  if (n_tokens == 0) n_released_ = 0;
  n_tokens_ = n_tokens;
  return n_tokens;
}

void KvSequence::clear() { truncate(0); }

void KvSequence::adopt(std::span<const PageId> pages, size_t n_tokens) {
  MIXTRAL_CHECK(n_tokens_ % kPageTokens == 0 && n_tokens <= context_len_,
                "pages are adopted from the beginning of one");
  for (size_t index = n_tokens_ / kPageTokens; index < pages_of(n_tokens); ++index) {
    if (pages[index] != kNoPage) pool_->share(pages[index]);
    set(index, pages[index]);
  }
  n_tokens_ = n_tokens;
  forget_unseen();
}

void KvSequence::share(const KvSequence& other) {
  MIXTRAL_CHECK(n_tokens_ == 0 && pages_.size() >= other.pages_.size(),
                "only an empty sequence can share another's pages");
  for (size_t index = 0; index < pages_of(other.n_tokens_); ++index) {
    const PageId page = other.pages_[index];
    if (page != kNoPage) pool_->share(page);
    set(index, page);
  }
  n_tokens_ = other.n_tokens_;
  n_released_ = other.n_released_;
}

void KvSequence::replace(size_t index, PageId page) {
  pool_->share(page);
  pool_->drop(pages_[index]);
  set(index, page);
}

}  // namespace mixtral
