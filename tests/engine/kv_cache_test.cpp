#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>

namespace mixtral {
namespace {

constexpr KvLayout kLayout = {KvType::kF32, 1, 1, 4};

KvCache make(size_t context_len, size_t window, size_t max_chunk) {
  auto cache = KvCache::create(kLayout, context_len, window, max_chunk);
  EXPECT_TRUE(cache) << cache.error().message;
  return *std::move(cache);
}

// Where position p keeps its key.
float* key(const KvCache& cache, size_t p) {
  std::byte* page = cache.view().pages[p / kPageTokens];
  return page == nullptr ? nullptr
                         : reinterpret_cast<float*>(page) + p % kPageTokens * kLayout.head_dim;
}

TEST(KvCache, KeepsEveryPositionWithoutAWindow) {
  KvCache cache = make(300, 0, 100);
  for (size_t p = 0; p < 300; ++p) {
    cache.extend(1);
    *key(cache, p) = static_cast<float>(p);
  }
  EXPECT_EQ(cache.n_tokens(), 300u);
  for (size_t p = 0; p < 300; ++p) ASSERT_EQ(*key(cache, p), static_cast<float>(p));
}

// A model of the cache: whatever a row may look at still holds what was written there.
TEST(KvCache, KeepsWhatTheWindowSees) {
  for (const size_t window : {1, 16, 63, 64, 65, 100, 200}) {
    for (const size_t chunk : {1, 7, 64, 130}) {
      KvCache cache = make(2000, window, chunk);
      while (cache.n_tokens() + chunk <= 2000) {
        const size_t first = cache.n_tokens();
        cache.extend(chunk);
        for (size_t p = first; p < first + chunk; ++p) *key(cache, p) = static_cast<float>(p);
        for (size_t p = first + 1 > window ? first + 1 - window : 0; p < first + chunk; ++p) {
          ASSERT_NE(key(cache, p), nullptr) << p << " of window " << window;
          ASSERT_EQ(*key(cache, p), static_cast<float>(p));
        }
      }
    }
  }
}

TEST(KvCache, UsesPagesAgainThatFellOutOfTheWindow) {
  KvCache cache = make(100000, 100, 50);
  std::set<const std::byte*> pages;
  for (int i = 0; i < 1000; ++i) {
    cache.extend(50);
    for (const std::byte* page : cache.view().pages) {
      if (page != nullptr) pages.insert(page);
    }
  }
  EXPECT_LE(pages.size() * kLayout.page_bytes(), KvCache::planned_bytes(kLayout, 100000, 100, 50));
  EXPECT_LE(pages.size(), 4u);
}

TEST(KvCache, TruncatesToAnyLengthWithoutAWindow) {
  KvCache cache = make(1000, 0, 500);
  cache.extend(500);
  for (size_t p = 0; p < 500; ++p) *key(cache, p) = static_cast<float>(p);
  EXPECT_EQ(cache.truncate(600), 500u);
  EXPECT_EQ(cache.truncate(130), 130u);
  EXPECT_EQ(cache.n_tokens(), 130u);
  EXPECT_EQ(key(cache, 192), nullptr);
  cache.extend(500);
  for (size_t p = 0; p < 130; ++p) ASSERT_EQ(*key(cache, p), static_cast<float>(p));
}

TEST(KvCache, ForgetsAllWhereTheWindowHasLostWhatATruncatedSequenceNeeds) {
  KvCache cache = make(1000, 100, 10);
  for (int i = 0; i < 50; ++i) cache.extend(10);
  EXPECT_EQ(cache.truncate(490), 490u);  // sees from 391 on, still there
  EXPECT_EQ(cache.truncate(300), 0u);
  EXPECT_EQ(cache.n_tokens(), 0u);
  for (const std::byte* page : cache.view().pages) EXPECT_EQ(page, nullptr);
  for (int i = 0; i < 100; ++i) cache.extend(10);  // every page was given back
  EXPECT_EQ(cache.n_tokens(), 1000u);
}

TEST(KvCache, PlansNoMoreThanTheContext) {
  EXPECT_EQ(KvCache::planned_bytes(kLayout, 128, 0, 256), 2 * kLayout.page_bytes());
  EXPECT_EQ(KvCache::planned_bytes(kLayout, 129, 0, 256), 3 * kLayout.page_bytes());
  EXPECT_EQ(KvCache::planned_bytes(kLayout, 128, 4096, 256), 2 * kLayout.page_bytes());
}

TEST(KvCache, RefusesAContextThatNoMachineHolds) {
  const size_t largest = std::numeric_limits<size_t>::max();
  EXPECT_EQ(KvCache::planned_bytes(kLayout, largest, 0, 256), largest);
  const auto refused = KvCache::create(kLayout, largest, 0, 256);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  const KvLayout huge = {KvType::kF32, 1000, 1000, 1000};
  EXPECT_FALSE(KvCache::create(huge, size_t{1} << 30, 0, 256));
}

}  // namespace
}  // namespace mixtral
