// The scheduler without a model: cached keys are the token ids themselves, so that a wrong page
// shows.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/rng.h"

namespace mixtral {
namespace {

constexpr KvLayout kLayout = {KvType::kF32, 1, 1, 4};

struct Setting {
  SchedulerLimits limits;
  size_t context_len = 512, sliding_window = 0, n_pages = 9;
  bool drafts = false;  // some right, some wrong, as many as the limits allow
};

float& key(const KvSequence& kv, size_t p) {
  std::byte* page = kv.view().pages[p / kPageTokens];
  return reinterpret_cast<float*>(page)[p % kPageTokens * kLayout.head_dim];
}

// Stands for a model: what comes next depends on all that came before.
int32_t next_token(const std::vector<int32_t>& ids) {
  uint32_t hash = 17;
  for (const int32_t id : ids) hash = hash * 31 + static_cast<uint32_t>(id);
  return static_cast<int32_t>(hash >> 8 & 3);
}

std::vector<int32_t> continued(std::vector<int32_t> ids, size_t n) {
  while (ids.size() < n) ids.push_back(next_token(ids));
  return ids;
}

class Simulation {
 public:
  explicit Simulation(const Setting& setting)
      : setting_(setting),
        pool_(std::move(*KvPool::create(kLayout, setting.n_pages))),
        cache_(pool_, setting.sliding_window),
        scheduler_(setting.limits, pool_, cache_) {}

  // It ends with `n_all` tokens.
  Sequence& add(std::vector<int32_t> ids, size_t n_all, const std::string& client = "") {
    auto sequence = std::make_unique<Sequence>(make_kv());
    Sequence& added = *sequence;
    added.ids = std::move(ids);
    added.client = client;
    added.order = n_added_++;
    ends_[added.order] = n_all;
    scheduler_.add(std::move(sequence));
    return added;
  }

  KvSequence make_kv() { return KvSequence(pool_, setting_.context_len, setting_.sliding_window); }

  // One step; whoever is at its end leaves, and its tokens are in finished().
  std::vector<ScheduledRows> step() {
    if (setting_.drafts) add_drafts();
    const auto planned = scheduler_.plan_step();
    std::vector<ScheduledRows> plan(planned.begin(), planned.end());
    size_t n_rows = 0;
    for (const ScheduledRows& rows : plan) {
      compute(*rows.sequence, rows.n_rows);
      n_rows += rows.n_rows;
    }
    EXPECT_LE(n_rows, setting_.limits.max_rows);
    scheduler_.step_done();
    for (const ScheduledRows& rows : plan) {
      Sequence& sequence = *rows.sequence;
      if (sequence.n_uncomputed() > 0) continue;
      EXPECT_GE(rows.n_logit_rows, 1 + sequence.n_drafts);
      if (write(sequence)) end(sequence);
    }
    check_pages();
    return plan;
  }

  void end(Sequence& sequence) {
    const auto owned = scheduler_.remove(sequence, true);
    finished_.push_back({owned->order, owned->ids});
    EXPECT_EQ(owned->kv.n_tokens(), 0u);
  }

  // Every page is free, or held as often as somebody counts on it.
  void check_pages() {
    std::map<PageId, size_t> holders;
    for (const auto& sequence : scheduler_.running()) {
      for (const PageId page : sequence->kv.pages()) {
        if (page != kNoPage) holders[page] += 1;
      }
    }
    for (const auto& sequence : scheduler_.waiting()) {
      for (const PageId page : sequence->kv.pages()) EXPECT_EQ(page, kNoPage);
    }
    size_t n_kept = pool_.n_reusable();
    for (const auto& [page, count] : holders) {
      ASSERT_GE(pool_.n_holders(page), count);
      ASSERT_LE(pool_.n_holders(page), count + 1);
      n_kept += pool_.n_holders(page) - count;
    }
    ASSERT_EQ(n_kept, cache_.n_pages());
    ASSERT_EQ(pool_.n_free() + pool_.n_reusable() + holders.size(), pool_.n_pages());
  }

  void check_all_pages_return() {
    EXPECT_EQ(pool_.n_free() + pool_.n_reusable(), pool_.n_pages());
    while (cache_.evict_one()) {
    }
    EXPECT_EQ(pool_.n_free(), pool_.n_pages());
    EXPECT_EQ(cache_.n_pages(), 0u);
  }

  Scheduler& scheduler() { return scheduler_; }
  PrefixCache& cache() { return cache_; }
  const std::vector<std::pair<uint64_t, std::vector<int32_t>>>& finished() const {
    return finished_;
  }

 private:
  void add_drafts() {
    size_t n_left = setting_.limits.max_draft_rows;
    for (const auto& sequence : scheduler_.running()) {
      const size_t n_to_end = ends_.at(sequence->order) - sequence->ids.size();
      if (!sequence->streams || n_to_end == 0) continue;
      const size_t n = rng_.below(std::min(n_left, n_to_end - 1) + 1);
      for (size_t i = 0; i < n; ++i) {
        const int32_t right = next_token(sequence->ids);
        sequence->ids.push_back(rng_.below(4) == 0 ? right ^ 1 : right);
      }
      sequence->n_drafts = n;
      n_left -= n;
    }
  }

  // The tokens that the step brought; true if that is all.
  bool write(Sequence& sequence) {
    for (bool was_drafted = true; was_drafted;) {
      const size_t n_known = sequence.ids.size() - sequence.n_drafts;
      const std::vector<int32_t> known(sequence.ids.begin(),
                                       sequence.ids.begin() + static_cast<ptrdiff_t>(n_known));
      was_drafted = sequence.add_token(next_token(known));
      if (n_known + 1 >= ends_.at(sequence.order)) return true;
    }
    return false;
  }

  // What rows of a real step would do: write their keys, look at all before.
  void compute(const Sequence& sequence, size_t n_rows) {
    const KvSequence& kv = sequence.kv;
    const size_t first = kv.n_tokens() - n_rows;
    for (size_t p = first; p < kv.n_tokens(); ++p) key(kv, p) = static_cast<float>(sequence.ids[p]);
    for (size_t p = first_visible(first, setting_.sliding_window); p < kv.n_tokens(); ++p) {
      ASSERT_NE(kv.pages()[p / kPageTokens], kNoPage);
      ASSERT_EQ(key(kv, p), static_cast<float>(sequence.ids[p])) << "position " << p;
    }
  }

  const Setting setting_;
  KvPool pool_;
  PrefixCache cache_;
  Scheduler scheduler_;
  uint64_t n_added_ = 0;
  Rng rng_{23};
  std::map<uint64_t, size_t> ends_;
  std::vector<std::pair<uint64_t, std::vector<int32_t>>> finished_;
};

// Prompts with beginnings in common, clients, priorities and cancellations at random. Returns the
// number of preemptions.
size_t run_random(const Setting& setting, uint64_t seed) {
  Simulation simulation(setting);
  Rng rng(seed);
  std::vector<std::vector<int32_t>> prompts;
  std::map<uint64_t, std::vector<int32_t>> expected;
  size_t n_left = 60;
  while (n_left > 0 || !simulation.scheduler().empty()) {
    if (n_left > 0 && rng.below(3) == 0) {
      std::vector<int32_t> ids;
      if (!prompts.empty() && rng.below(2) == 0) {
        ids = prompts[rng.below(prompts.size())];
        ids.resize(1 + rng.below(ids.size()));
      }
      const size_t n = 1 + rng.below(200);
      while (ids.size() < n) ids.push_back(static_cast<int32_t>(rng.below(4)));
      const size_t n_all = std::min(ids.size() + 1 + rng.below(150), setting.context_len);
      prompts.push_back(ids);
      Sequence& added = simulation.add(ids, n_all, std::to_string(rng.below(3)));
      added.priority = static_cast<int>(rng.below(2));
      if (rng.below(8) != 0) {
        expected[added.order] = continued(ids, n_all);
      } else if (rng.below(2) == 0) {
        simulation.end(added);
      }
      --n_left;
    }
    if (!simulation.scheduler().empty()) simulation.step();
    if (!simulation.scheduler().running().empty() && rng.below(100) == 0) {
      const auto running = simulation.scheduler().running();
      Sequence& some = *running[rng.below(running.size())];
      expected.erase(some.order);
      simulation.end(some);
    }
    if (::testing::Test::HasFatalFailure()) break;
  }
  std::map<uint64_t, std::vector<int32_t>> found(simulation.finished().begin(),
                                                 simulation.finished().end());
  for (const auto& [order, ids] : expected) {
    EXPECT_EQ(found[order], ids) << "sequence " << order;
  }
  simulation.check_all_pages_return();
  return simulation.scheduler().n_preemptions();
}

Setting tight(size_t n_pages, size_t sliding_window = 0) {
  Setting setting;
  setting.context_len = 400;
  setting.sliding_window = sliding_window;
  setting.limits.max_sequences = 6;
  setting.limits.max_rows = 48;
  setting.limits.max_shared_rows = 20;
  setting.limits.max_sequence_pages = pages_per_sequence(400, sliding_window, 48);
  setting.n_pages = std::max(n_pages, setting.limits.max_sequence_pages + 1);
  return setting;
}

TEST(Scheduler, AccountsForEveryPageInATinyPool) {
  size_t n_preemptions = 0;
  for (uint64_t seed = 0; seed < 30; ++seed) n_preemptions += run_random(tight(8), seed);
  EXPECT_GT(n_preemptions, 20u);
}

TEST(Scheduler, AccountsForEveryPageInALargePool) {
  for (uint64_t seed = 0; seed < 10; ++seed) run_random(tight(200), seed);
}

TEST(Scheduler, AccountsForEveryPageWithASlidingWindow) {
  for (const size_t window : {1, 30, 64, 100}) {
    for (uint64_t seed = 0; seed < 5; ++seed) run_random(tight(0, window), seed);
  }
}

TEST(Scheduler, AccountsForEveryPageWithDrafts) {
  for (const size_t window : {0, 1, 64, 100}) {
    Setting setting = tight(8, window);
    setting.drafts = true;
    setting.limits.max_draft_rows = 16;
    for (uint64_t seed = 0; seed < 10; ++seed) run_random(setting, seed);
  }
}

TEST(Scheduler, LetsStreamsGoOnWhileALongPromptIsRead) {
  Setting setting = tight(40);
  Simulation simulation(setting);
  Sequence& stream = simulation.add({1, 2, 3}, 300);
  simulation.step();
  Sequence& reader = simulation.add(continued({3}, 200), 300);
  size_t n_steps = 0;
  while (reader.kv.n_tokens() < 200) {
    const auto plan = simulation.step();
    ASSERT_EQ(plan[0].sequence, &stream);
    EXPECT_EQ(plan[0].n_rows, 1u);
    EXPECT_LE(plan[1].n_rows, setting.limits.max_shared_rows);
    ++n_steps;
  }
  EXPECT_EQ(n_steps, 10u);
}

TEST(Scheduler, ReadsACommonPrefixOnce) {
  Simulation simulation(tight(60));
  const auto prompt = continued({2}, 150);
  std::vector<Sequence*> all;
  for (int i = 0; i < 5; ++i) {
    auto ids = prompt;
    ids.push_back(i);
    all.push_back(&simulation.add(ids, 300));
  }
  size_t n_rows = 0;
  while (std::any_of(all.begin(), all.end(), [](Sequence* s) { return !s->streams; })) {
    for (const ScheduledRows& rows : simulation.step()) {
      if (rows.sequence->ids.size() == 152 || !rows.sequence->streams) n_rows += rows.n_rows;
    }
  }
  size_t n_cached = 0;
  for (const Sequence* sequence : all) n_cached += sequence->n_cached;
  EXPECT_GE(n_cached, 4u * 128);  // whole pages, as soon as the first has computed them
  // The last page too, once somebody has; until then two others had rows that were left.
  EXPECT_EQ(all[3]->n_cached, 150u);
  EXPECT_EQ(all[4]->n_cached, 150u);
  EXPECT_LE(n_rows, 5u * 151 - n_cached);
}

TEST(Scheduler, LetsClientsTakeTurns) {
  Setting setting = tight(60);
  setting.limits.max_sequences = 1;
  Simulation simulation(setting);
  for (int i = 0; i < 8; ++i) simulation.add({1, i, 3}, 20, "many");
  for (int i = 0; i < 3; ++i) simulation.add({2, i, 3}, 20, "few");
  while (!simulation.scheduler().empty()) simulation.step();
  std::vector<uint64_t> order;
  for (const auto& [n, ids] : simulation.finished()) order.push_back(n);
  EXPECT_EQ(order, (std::vector<uint64_t>{0, 8, 1, 9, 2, 10, 3, 4, 5, 6, 7}));
}

TEST(Scheduler, PrefersTheHigherPriority) {
  Setting setting = tight(60);
  setting.limits.max_sequences = 1;
  Simulation simulation(setting);
  simulation.add({1}, 20);
  simulation.add({2}, 20);
  simulation.add({3}, 20).priority = 1;
  while (!simulation.scheduler().empty()) simulation.step();
  EXPECT_EQ(simulation.finished()[0].first, 2u);
  EXPECT_EQ(simulation.finished()[1].first, 0u);
}

TEST(Scheduler, TakesPagesFromTheYoungest) {
  Setting setting = tight(8);
  Simulation simulation(setting);
  for (int i = 0; i < 3; ++i) simulation.add({i}, 390);
  while (!simulation.scheduler().empty()) simulation.step();
  ASSERT_EQ(simulation.finished().size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(simulation.finished()[i].first, i);
    EXPECT_EQ(simulation.finished()[i].second, continued({static_cast<int32_t>(i)}, 390));
  }
  EXPECT_GT(simulation.scheduler().n_preemptions(), 0u);
}

TEST(Scheduler, SharesThePromptAmongAnswers) {
  Simulation simulation(tight(60));
  Sequence& parent = simulation.add(continued({1}, 100), 150);
  parent.n_answers = 3;
  while (parent.n_answers == 3) {
    const auto plan = simulation.scheduler().plan_step();
    for (const ScheduledRows& rows : plan) {
      for (size_t p = parent.kv.n_tokens() - rows.n_rows; p < parent.kv.n_tokens(); ++p) {
        key(parent.kv, p) = static_cast<float>(parent.ids[p]);
      }
    }
    simulation.scheduler().step_done();
    if (parent.n_uncomputed() > 0) continue;
    for (int32_t i = 1; i < 3; ++i) {
      auto child = std::make_unique<Sequence>(simulation.make_kv());
      child->ids = parent.ids;
      child->ids.push_back(i);
      child->streams = true;
      child->order = parent.order;
      simulation.scheduler().fork(parent, std::move(child));
    }
    parent.ids.push_back(0);
  }
  simulation.check_pages();
  const auto running = simulation.scheduler().running();
  ASSERT_EQ(running.size(), 3u);
  EXPECT_EQ(running[1]->kv.pages()[0], parent.kv.pages()[0]);
  while (!simulation.scheduler().empty()) simulation.step();
  for (const auto& [order, ids] : simulation.finished()) {
    EXPECT_EQ(ids, continued({ids.begin(), ids.begin() + 101}, 150));
  }
  simulation.check_all_pages_return();
}

TEST(PrefixCache, KeepsSaltsApart) {
  KvPool pool = std::move(*KvPool::create(kLayout, 4));
  PrefixCache cache(pool, 0);
  const auto ids = continued({1}, 100);
  {
    KvSequence kv(pool, 200, 0);
    ASSERT_TRUE(kv.extend(100));
    cache.insert("a", ids, kv);
  }
  EXPECT_EQ(cache.find("a", ids).n_tokens, 100u);
  EXPECT_EQ(cache.find("b", ids).n_tokens, 0u);
  EXPECT_EQ(cache.find("", ids).n_tokens, 0u);
  cache.forget("a", ids);
  EXPECT_EQ(cache.find("a", ids).n_tokens, 0u);
  EXPECT_EQ(pool.n_free(), 4u);
}

TEST(PrefixCache, FindsTheLongestBeginning) {
  KvPool pool = std::move(*KvPool::create(kLayout, 20));
  PrefixCache cache(pool, 0);
  const auto insert = [&](const std::vector<int32_t>& ids) {
    KvSequence kv(pool, 300, 0);
    ASSERT_TRUE(kv.extend(ids.size()));
    cache.insert("", ids, kv);
  };
  const auto ids = continued({1}, 200);
  insert({ids.begin(), ids.begin() + 70});
  insert(ids);  // takes the place of the 6 tokens on the second page
  EXPECT_EQ(cache.n_pages(), 4u);
  auto other = ids;
  other[150] = 9;
  EXPECT_EQ(cache.find("", other).n_tokens, 150u);
  insert(other);
  EXPECT_EQ(cache.n_pages(), 6u);
  EXPECT_EQ(cache.find("", ids).n_tokens, 200u);
  EXPECT_EQ(cache.find("", other).n_tokens, 200u);
  EXPECT_EQ(cache.find("", std::span(ids).first(180)).n_tokens, 180u);
  EXPECT_EQ(cache.find("", std::vector<int32_t>{9}).n_tokens, 0u);
}

TEST(PrefixCache, EvictsWhatWasNotUsedForLongest) {
  KvPool pool = std::move(*KvPool::create(kLayout, 4));
  PrefixCache cache(pool, 0);
  std::vector<std::vector<int32_t>> all;
  for (int32_t i = 0; i < 2; ++i) {
    all.push_back(continued({i}, 128));
    KvSequence kv(pool, 200, 0);
    ASSERT_TRUE(kv.extend(128));
    cache.insert("", all.back(), kv);
  }
  EXPECT_EQ(pool.n_free(), 0u);
  cache.find("", all[0]);
  EXPECT_TRUE(cache.evict_one());
  EXPECT_EQ(cache.find("", all[1]).n_tokens, 64u);  // from its end on
  EXPECT_EQ(cache.find("", all[0]).n_tokens, 128u);
}

}  // namespace
}  // namespace mixtral
