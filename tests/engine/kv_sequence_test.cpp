#include "engine/kv_sequence.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace mixtral {
namespace {

constexpr KvLayout kLayout = {KvType::kF32, 1, 1, 4};

KvPool make_pool(size_t n_pages) {
  auto pool = KvPool::create(kLayout, n_pages);
  EXPECT_TRUE(pool) << pool.error().message;
  return *std::move(pool);
}

// Where position p keeps its key.
float* key(const KvSequence& kv, size_t p) {
  std::byte* page = kv.view().pages[p / kPageTokens];
  return page == nullptr ? nullptr
                         : reinterpret_cast<float*>(page) + p % kPageTokens * kLayout.head_dim;
}

void extend(KvSequence& kv, size_t count, float mark = 0) {
  const size_t first = kv.n_tokens();
  ASSERT_TRUE(kv.extend(count));
  for (size_t p = first; p < first + count; ++p) *key(kv, p) = mark + static_cast<float>(p);
}

TEST(KvSequence, KeepsEveryPositionWithoutAWindow) {
  KvPool pool = make_pool(5);
  KvSequence kv(pool, 300, 0);
  for (size_t p = 0; p < 300; ++p) extend(kv, 1);
  EXPECT_EQ(kv.n_tokens(), 300u);
  for (size_t p = 0; p < 300; ++p) ASSERT_EQ(*key(kv, p), static_cast<float>(p));
}

// A model of the sequence: whatever a row may look at still holds what was written there.
TEST(KvSequence, KeepsWhatTheWindowSees) {
  for (const size_t window : {1, 16, 63, 64, 65, 100, 200}) {
    for (const size_t chunk : {1, 7, 64, 130}) {
      KvPool pool = make_pool(pages_per_sequence(2000, window, chunk));
      KvSequence kv(pool, 2000, window);
      while (kv.n_tokens() + chunk <= 2000) {
        const size_t first = kv.n_tokens();
        extend(kv, chunk);
        for (size_t p = first + 1 > window ? first + 1 - window : 0; p < first + chunk; ++p) {
          ASSERT_NE(key(kv, p), nullptr) << p << " of window " << window;
          ASSERT_EQ(*key(kv, p), static_cast<float>(p));
        }
      }
      EXPECT_LE(pool.n_pages() - pool.n_free(), pages_per_sequence(2000, window, chunk));
    }
  }
}

// Token by token, a sequence holds the pages that its last row looked at, and no other.
TEST(KvSequence, FreesThePagesThatTheWindowHasPassed) {
  for (const size_t window : {1, 63, 64, 65, 100}) {
    KvPool pool = make_pool(pages_per_sequence(1000, window, 1));
    KvSequence kv(pool, 1000, window);
    for (size_t n = 1; n <= 1000; ++n) {
      extend(kv, 1);
      const size_t first_seen = n > window ? n - window : 0;
      ASSERT_EQ(pool.n_pages() - pool.n_free(), pages_of(n) - first_seen / kPageTokens)
          << n << " tokens, window " << window;
    }
  }
}

TEST(KvSequence, TruncatesToAnyLengthWithoutAWindow) {
  KvPool pool = make_pool(20);
  KvSequence kv(pool, 1000, 0);
  extend(kv, 500);
  EXPECT_EQ(kv.truncate(600), 500u);
  EXPECT_EQ(kv.truncate(130), 130u);
  EXPECT_EQ(kv.n_tokens(), 130u);
  EXPECT_EQ(key(kv, 192), nullptr);
  EXPECT_EQ(pool.n_free(), 17u);
  extend(kv, 500);
  for (size_t p = 0; p < 130; ++p) ASSERT_EQ(*key(kv, p), static_cast<float>(p));
}

TEST(KvSequence, ForgetsAllWhereTheWindowHasLostWhatATruncatedSequenceNeeds) {
  KvPool pool = make_pool(5);
  KvSequence kv(pool, 1000, 100);
  for (int i = 0; i < 50; ++i) extend(kv, 10);
  EXPECT_EQ(kv.truncate(490), 490u);  // sees from 391 on, still there
  EXPECT_EQ(kv.truncate(300), 0u);
  EXPECT_EQ(pool.n_free(), 5u);
  for (int i = 0; i < 100; ++i) extend(kv, 10);
  EXPECT_EQ(kv.n_tokens(), 1000u);
}

TEST(KvSequence, CopiesASharedPageBeforeItWrites) {
  KvPool pool = make_pool(4);
  KvSequence a(pool, 200, 0), b(pool, 200, 0);
  extend(a, 100);
  b.share(a);
  EXPECT_EQ(pool.n_free(), 2u);
  EXPECT_EQ(b.pages_needed(1), 1u);
  extend(b, 1, 1000);
  EXPECT_EQ(pool.n_free(), 1u);
  extend(a, 1, 2000);  // alone on its page again: no copy
  EXPECT_EQ(pool.n_free(), 1u);
  EXPECT_EQ(*key(a, 100), 2100.0f);
  EXPECT_EQ(*key(b, 100), 1100.0f);
  EXPECT_EQ(key(a, 10), key(b, 10));
  for (size_t p = 64; p < 100; ++p) ASSERT_EQ(*key(b, p), static_cast<float>(p));
}

TEST(KvSequence, ChangesNothingWhenPagesAreMissing) {
  KvPool pool = make_pool(2);
  KvSequence kv(pool, 1000, 0);
  extend(kv, 100);
  EXPECT_FALSE(kv.extend(29));
  EXPECT_EQ(kv.n_tokens(), 100u);
  EXPECT_TRUE(kv.extend(28));
}

TEST(KvSequence, GivesItsPagesBackWhenItEnds) {
  KvPool pool = make_pool(4);
  {
    KvSequence a(pool, 200, 0);
    extend(a, 100);
    KvSequence moved = std::move(a);
    EXPECT_EQ(moved.n_tokens(), 100u);
    EXPECT_EQ(pool.n_free(), 2u);
  }
  EXPECT_EQ(pool.n_free(), 4u);
}

TEST(KvPool, CountsPagesThatOnlyThePrefixCacheHolds) {
  KvPool pool = make_pool(2);
  const PageId page = pool.take();
  pool.keep(page);
  EXPECT_EQ(pool.n_reusable(), 0u);
  pool.drop(page);
  EXPECT_EQ(pool.n_reusable(), 1u);
  pool.share(page);
  EXPECT_EQ(pool.n_reusable(), 0u);
  pool.unkeep(page);
  EXPECT_EQ(pool.n_free(), 1u);
  pool.drop(page);
  EXPECT_EQ(pool.n_free(), 2u);
  EXPECT_NE(pool.take(), kNoPage);
  EXPECT_NE(pool.take(), kNoPage);
  EXPECT_EQ(pool.take(), kNoPage);
}

TEST(KvPool, RefusesWhatNoMachineHolds) {
  const auto refused = KvPool::create(kLayout, std::numeric_limits<size_t>::max());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  const KvLayout huge = {KvType::kF32, 1000, 1000, 1000};
  EXPECT_FALSE(KvPool::create(huge, size_t{1} << 24));
}

}  // namespace
}  // namespace mixtral
