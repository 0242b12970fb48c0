#include "engine/kv_cache.h"

#include <algorithm>
#include <limits>

#include "core/check.h"
#include "core/checked.h"

namespace mixtral {
namespace {

// Beyond any model; keeps the page table itself small.
constexpr size_t kMaxContext = size_t{1} << 30;

// Pages in use at once at most. A window and a chunk may both begin and end inside a page.
size_t max_pages(size_t context_len, size_t sliding_window, size_t max_chunk) {
  const size_t all = context_len / kPageTokens + (context_len % kPageTokens != 0 ? 1 : 0);
  if (sliding_window == 0 || sliding_window >= context_len || max_chunk >= context_len) return all;
  return std::min(all, (sliding_window + max_chunk) / kPageTokens + 2);
}

}  // namespace

size_t KvCache::planned_bytes(const KvLayout& layout, size_t context_len, size_t sliding_window,
                              size_t max_chunk) {
  const CheckedSize bytes = CheckedSize(max_pages(context_len, sliding_window, max_chunk)) *
                            CheckedSize(layout.page_bytes());
  return bytes.value().value_or(std::numeric_limits<size_t>::max());
}

Result<KvCache> KvCache::create(const KvLayout& layout, size_t context_len, size_t sliding_window,
                                size_t max_chunk) {
  if (context_len == 0 || context_len > kMaxContext) {
    return fail(ErrorCode::kTooLarge, "a context of {} positions, expected 1 to {}", context_len,
                kMaxContext);
  }
  const size_t bytes = planned_bytes(layout, context_len, sliding_window, max_chunk);
  KvCache cache;
  cache.layout_ = layout;
  cache.context_len_ = context_len;
  cache.sliding_window_ = sliding_window;
  cache.max_chunk_ = max_chunk;
  cache.memory_ = AlignedBuffer(bytes);
  if (cache.memory_.data() == nullptr) {
    return fail(ErrorCode::kTooLarge,
                "the system refuses {} bytes for the keys and values of {} positions", bytes,
                context_len);
  }
  cache.pages_.resize(max_pages(context_len, 0, max_chunk), nullptr);
  const size_t n_pages = bytes / layout.page_bytes();
  for (size_t page = n_pages; page-- > 0;) {  // the first page is handed out first
    cache.free_.push_back(cache.memory_.data() + page * layout.page_bytes());
  }
  return cache;
}

// The first position that a token at position `position` may look at.
size_t KvCache::first_visible(size_t position) const {
  if (sliding_window_ == 0 || position < sliding_window_) return 0;
  return position - sliding_window_ + 1;
}

void KvCache::release(size_t first_page, size_t end_page) {
  for (size_t page = first_page; page < end_page; ++page) {
    if (pages_[page] != nullptr) free_.push_back(pages_[page]);
    pages_[page] = nullptr;
  }
}

void KvCache::extend(size_t count) {
  MIXTRAL_CHECK(count <= max_chunk_ && count <= context_len_ - n_tokens_,
                "more positions than the cache was made for");
  const size_t first_needed = first_visible(n_tokens_) / kPageTokens;
  release(n_released_, first_needed);
  n_released_ = std::max(n_released_, first_needed);
  n_tokens_ += count;
  const size_t end = (n_tokens_ + kPageTokens - 1) / kPageTokens;
  for (size_t page = end; page-- > first_needed && pages_[page] == nullptr;) {
    MIXTRAL_CHECK(!free_.empty(), "more pages in use than were planned");
    pages_[page] = free_.back();
    free_.pop_back();
  }
}

size_t KvCache::truncate(size_t n_tokens) {
  if (n_tokens >= n_tokens_) return n_tokens_;
  if (first_visible(n_tokens) / kPageTokens < n_released_) n_tokens = 0;
  const size_t end = (n_tokens_ + kPageTokens - 1) / kPageTokens;
  release(n_tokens == 0 ? n_released_ : (n_tokens + kPageTokens - 1) / kPageTokens, end);
  if (n_tokens == 0) n_released_ = 0;
  n_tokens_ = n_tokens;
  return n_tokens;
}

}  // namespace mixtral
