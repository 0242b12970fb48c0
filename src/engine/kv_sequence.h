// The page table of one sequence: which pages of the pool hold its keys and values.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/kv_pool.h"

namespace mixtral {

/// Pages in use at once at most by a sequence of up to `context_len` positions that is read in
/// chunks of up to `max_chunk`. With a sliding window (0: none) only what it sees is kept.
size_t pages_per_sequence(size_t context_len, size_t sliding_window, size_t max_chunk);

/// Pages may be shared with other sequences and with the prefix cache; one that is only partly
/// filled is copied before this sequence writes to it. Not thread-safe.
class KvSequence {
 public:
  /// Room for positions [0, context_len); `pool` must outlive this. Takes no page yet.
  KvSequence(KvPool& pool, size_t context_len, size_t sliding_window);
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&& other) noexcept;
  ~KvSequence() { clear(); }

  size_t context_len() const { return context_len_; }
  /// Positions in use: [0, n_tokens()).
  size_t n_tokens() const { return n_tokens_; }
  KvView view() const { return {pool_->layout(), data_}; }
  /// kNoPage where the window has moved past the page.
  std::span<const PageId> pages() const { return pages_; }

  /// Gives back pages that no position from n_tokens() on will look at.
  void forget_unseen();
  /// Free pages that extend(count) would take.
  size_t pages_needed(size_t count) const;
  /// Makes the pages for `count` more positions present; they must fit the context. False, and
  /// nothing changes, if the pool has not enough free pages. Allocates nothing.
  bool extend(size_t count);
  /// Forgets positions from `n_tokens` on; returns the number kept, which is 0 if a sliding window
  /// has already lost positions that the shorter sequence would need.
  size_t truncate(size_t n_tokens);
  void clear();

  /// Takes over positions [n_tokens(), n_tokens) from `pages`, which are shared; n_tokens() must
  /// be at the beginning of a page.
  void adopt(std::span<const PageId> pages, size_t n_tokens);
  /// Shares all that `other` holds; this must be empty.
  void share(const KvSequence& other);
  /// Holds another page with the same contents instead of the one at `index`.
  void replace(size_t index, PageId page);

 private:
  size_t first_visible_page() const;
  bool last_page_is_shared() const;
  void set(size_t index, PageId page);
  void release(size_t first_page, size_t end_page);

  KvPool* pool_;
  size_t context_len_, sliding_window_;
  size_t n_tokens_ = 0;
  size_t n_released_ = 0;  // pages [0, n_released_) have left the window
  std::vector<PageId> pages_;
  std::vector<std::byte*> data_;  // of each page; nullptr for kNoPage
};

/// The first position that a token at `position` may look at.
constexpr size_t first_visible(size_t position, size_t sliding_window) {
  return sliding_window == 0 || position < sliding_window ? 0 : position - sliding_window + 1;
}

/// Pages that `n_tokens` positions lie on.
constexpr size_t pages_of(size_t n_tokens) {
  return n_tokens / kPageTokens + (n_tokens % kPageTokens != 0 ? 1 : 0);
}

}  // namespace mixtral
