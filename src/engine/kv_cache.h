// Owns the pages that hold one sequence's keys and values.
#pragma once

#include <cstddef>
#include <vector>

#include "core/arena.h"
#include "core/result.h"
#include "ops/kv_view.h"

namespace mixtral {

/// Memory becomes real page by page as positions are used. With a sliding window only the window
/// and the chunk being read are kept: a page that fell out of the window is used again. Not
/// thread-safe.
class KvCache {
 public:
  /// Room for positions [0, context_len), read in chunks of at most `max_chunk`. Fails with
  /// kTooLarge when the system refuses the address space.
  static Result<KvCache> create(const KvLayout& layout, size_t context_len, size_t sliding_window,
                                size_t max_chunk);
  /// Bytes that a cache of these numbers takes at most; the largest size_t if that overflows.
  static size_t planned_bytes(const KvLayout& layout, size_t context_len, size_t sliding_window,
                              size_t max_chunk);

  size_t context_len() const { return context_len_; }
  /// Positions in use: [0, n_tokens()).
  size_t n_tokens() const { return n_tokens_; }

  /// Makes the pages for `count` more positions present, at most max_chunk; they must fit the
  /// context. Allocates nothing.
  void extend(size_t count);
  /// Forgets positions from `n_tokens` on; returns the number kept, which is 0 if a sliding window
  /// has already lost positions that the shorter sequence would need.
  size_t truncate(size_t n_tokens);
  KvView view() const { return {layout_, pages_}; }

 private:
  KvCache() = default;
  size_t first_visible(size_t position) const;
  void release(size_t first_page, size_t end_page);

  KvLayout layout_;
  size_t context_len_ = 0, sliding_window_ = 0, max_chunk_ = 0;
  size_t n_tokens_ = 0;
  size_t n_released_ = 0;  // logical pages [0, n_released_) have left the window
  AlignedBuffer memory_;
  std::vector<std::byte*> pages_;  // by logical page
  std::vector<std::byte*> free_;
};

}  // namespace mixtral
