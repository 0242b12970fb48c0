// Speculation changes when tokens come, never which: every answer is compared bit by bit with the
// one that comes token by token.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <thread>

#include "convert/make_model.h"
#include "convert/write_model.h"
#include "core/rng.h"
#include "cpu/cpu_backend.h"
#include "engine/engine.h"
#include "engine/ngram_drafter.h"
#include "engine/speculator.h"
#include "grammar/grammar.h"
#include "support/golden.h"
#include "support/heard.h"
#include "support/small_mixtral.h"
#include "support/wrapped_backend.h"

namespace mixtral::testing {
namespace {

std::vector<std::vector<float>> router_probs(const Heard& heard) {
  std::vector<std::vector<float>> probs;
  for (const TokenRouting& routing : heard.routing) probs.push_back(routing.probs);
  return probs;
}

void expect_same(const std::vector<Heard>& found, const std::vector<Heard>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    SCOPED_TRACE(fmt::format("answer {}", i));
    testing::expect_same(found[i], expected[i]);
    EXPECT_EQ(router_probs(found[i]), router_probs(expected[i]));
    EXPECT_EQ(found[i].text, expected[i].text);
    ASSERT_TRUE(found[i].end && expected[i].end);
    EXPECT_EQ(found[i].end->reason, expected[i].end->reason);
    EXPECT_EQ(found[i].end->stop, expected[i].end->stop);
    EXPECT_EQ(found[i].end->stop_id, expected[i].end->stop_id);
    EXPECT_EQ(found[i].end->n_tokens, expected[i].end->n_tokens);
  }
}

// Goes round in a circle, as a greedy random model soon does too.
std::vector<int32_t> circle(size_t n, size_t period) {
  std::vector<int32_t> ids(n);
  for (size_t i = 0; i < n; ++i) ids[i] = static_cast<int32_t>(i % period * 17 + 3);
  return ids;
}

Request make_request(std::vector<int32_t> ids, size_t max_tokens) {
  Request request;
  request.prompt_ids = std::move(ids);
  request.max_tokens = max_tokens;
  request.ignore_end = true;
  request.sampling.temperature = 0;
  request.sampling.n_logprobs = 2;
  request.routing = true;
  return request;
}

class SpeculationTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    write("large.gguf", small_mixtral(), 3);
    ModelConfig window = small_mixtral();
    window.sliding_window = 70;
    write("window.gguf", window, 3);
    ModelConfig small = small_mixtral();
    small.n_layers = 1;
    write("small.gguf", small, 4);
    small.vocab_size = 500;
    write("other.gguf", small, 4);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static void write(const std::string& name, const ModelConfig& config, uint64_t seed) {
    const auto model = make_random_model({"test", config, *type_mix_from_name("Q4_K_M"), seed});
    ASSERT_TRUE(write_model(*model, ModelFormat::kGguf, folder_->file(name), {}, nullptr));
  }

  // Where each step of the large model, which is the first that runs, begins with a wait, rows cost
  // next to nothing, so that it pays to guess.
  static std::unique_ptr<Engine> load(
      Speculation speculation, EngineOptions options = {}, const std::string& model = "large.gguf",
      const std::string& draft = "small.gguf",
      std::chrono::milliseconds wait = std::chrono::milliseconds(2)) {
    CpuBackendOptions cpu;
    cpu.n_threads = 1;
    auto backend = std::make_unique<WrappedBackend>(std::move(*make_cpu_backend(cpu)));
    if (speculation != Speculation::kNone) {
      backend->on_step_of = [wait,
                             large = static_cast<const Weight*>(nullptr)](const Weight& w) mutable {
        if (large == nullptr) large = &w;
        if (&w == large) std::this_thread::sleep_for(wait);
      };
    }
    options.context_len = 256;
    options.speculation = speculation;
    options.draft_path = folder_->file(draft);
    auto engine = Engine::load(folder_->file(model), std::move(backend), options);
    EXPECT_TRUE(engine) << engine.error().message;
    return *std::move(engine);
  }

  static std::vector<Heard> ask_all(Engine& engine, const std::vector<Request>& requests) {
    std::vector<Heard> all;
    for (HeardAll& heard : testing::ask_all(engine, requests))
      std::move(heard.answers.begin(), heard.answers.end(), std::back_inserter(all));
    return all;
  }

  // The same answers with n-grams, and with a draft model of which some guesses come true because
  // it is the model itself, or none because it is another. Returns how many guesses came true.
  static uint64_t expect_no_difference(const std::vector<Request>& requests,
                                       EngineOptions options = {},
                                       const std::string& model = "large.gguf") {
    const auto expected = ask_all(*load(Speculation::kNone, options, model), requests);
    uint64_t n_accepted = 0;
    const auto compare = [&](Engine& engine) {
      expect_same(ask_all(engine, requests), expected);
      expect_no_leaks(engine);
      n_accepted += engine.stats().accepted_draft_tokens;
    };
    compare(*load(Speculation::kNgram, options, model));
    compare(*load(Speculation::kDraft, options, model, model));
    compare(*load(Speculation::kDraft, options, model, "small.gguf"));
    return n_accepted;
  }

  // Nothing runs: all pages that are in use are kept for their prefixes.
  static void expect_no_leaks(Engine& engine) {
    const std::vector<int32_t> ids = {1, 2};
    EXPECT_TRUE(engine.score(ids, [](size_t, std::span<const float>) { return Status(); }));
    const EngineStats stats = engine.stats();
    EXPECT_EQ(stats.pages_used, stats.pages_cached);
    EXPECT_LE(stats.accepted_draft_tokens, stats.drafted_tokens);
  }

  static inline std::unique_ptr<TemporaryFolder> folder_;
};

TEST_F(SpeculationTest, LeavesGreedyAnswersAsTheyAre) {
  EXPECT_GT(expect_no_difference({make_request(circle(60, 7), 80)}), 0u);
}

TEST_F(SpeculationTest, LeavesSeededAnswersAsTheyAre) {
  std::vector<Request> requests;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    Request request = make_request(circle(40 + seed, 5), 60);
    request.sampling.temperature = 0.2f + 0.3f * static_cast<float>(seed);
    request.sampling.seed = seed;
    request.sampling.top_p = 0.9f;
    requests.push_back(request);
  }
  EXPECT_GT(expect_no_difference(requests), 0u);
}

TEST_F(SpeculationTest, KeepsPenaltiesAndMinTokens) {
  Request request = make_request(circle(60, 7), 60);
  request.sampling.repetition_penalty = 1.05f;
  request.sampling.frequency_penalty = 0.1f;
  request.sampling.presence_penalty = 0.1f;
  request.min_tokens = 10;
  request.ignore_end = false;
  Request stopped = make_request(circle(60, 7), 60);
  const auto free = ask_all(*load(Speculation::kNone), {stopped})[0].ids;
  stopped.stop_ids = {free[free.size() / 2]};
  stopped.min_tokens = 20;
  expect_no_difference({request, stopped});
}

// Max_tokens and stops of every length: some fall inside a draft.
TEST_F(SpeculationTest, EndsAnswersInsideADraft) {
  const Request whole = make_request(circle(60, 7), 40);
  const Heard free = ask_all(*load(Speculation::kNone), {whole})[0];
  std::vector<Request> requests;
  for (size_t n = 1; n < 24; ++n) requests.push_back(make_request(circle(60, 7), n));
  for (size_t n = 8; n < 40 && n < free.ids.size(); n += 3) {
    Request request = whole;
    request.stop_ids = {free.ids[n]};
    request.min_tokens = n;
    requests.push_back(request);
  }
  for (size_t begin = 5; begin + 3 < free.text.size(); begin += 11) {
    Request request = whole;
    request.stop = {free.text.substr(begin, 3)};
    request.min_tokens = begin / 3;
    requests.push_back(request);
  }
  EXPECT_GT(expect_no_difference(requests), 0u);
}

TEST_F(SpeculationTest, StaysInsideTheContext) {
  expect_no_difference({make_request(circle(200, 7), 0), make_request(circle(255, 7), 0)});
}

TEST_F(SpeculationTest, HoldsToGrammars) {
  std::vector<Request> requests;
  for (const char* pattern : {"(abc)+d", "[ab]{40}", "(yes|no)( and (yes|no)){9}"}) {
    Request request = make_request({1, 70, 71, 72}, 60);
    request.sampling.temperature = 1;
    request.grammar = *Grammar::regex(pattern);
    requests.push_back(request);
  }
  EXPECT_GT(expect_no_difference(requests), 0u);
}

TEST_F(SpeculationTest, ServesSeveralAnswersToOnePrompt) {
  Request request = make_request(circle(100, 7), 40);
  request.n_answers = 4;
  request.sampling.temperature = 0.3f;
  EXPECT_GT(expect_no_difference({request}), 0u);
}

TEST_F(SpeculationTest, WorksWithASlidingWindow) {
  EXPECT_GT(expect_no_difference({make_request(circle(60, 7), 180)}, {}, "window.gguf"), 0u);
}

TEST_F(SpeculationTest, GoesOnAfterPagesWereLost) {
  std::vector<Request> requests;
  for (size_t i = 0; i < 6; ++i) requests.push_back(make_request(circle(20 + i, 5 + i), 150));
  EngineOptions options;
  options.kv_bytes = 6 * load(Speculation::kNone)->model().kv_layout().page_bytes();
  EXPECT_GT(expect_no_difference(requests, options), 0u);
  const auto engine = load(Speculation::kNgram, options);
  ask_all(*engine, requests);
  EXPECT_GT(engine->stats().preemptions, 0u);
}

// A follow-up that begins with an answer finds the pages of what was said, and nothing else.
TEST_F(SpeculationTest, LeavesNoRejectedTokensInThePrefixCache) {
  const auto plain = load(Speculation::kNone), engine = load(Speculation::kNgram);
  Request first = make_request(circle(60, 7), 50);
  first.sampling.temperature = 0.8f;
  const Heard heard = ask_all(*engine, {first})[0];
  Request second = first;
  second.prompt_ids.insert(second.prompt_ids.end(), heard.ids.begin(), heard.ids.end());
  second.prompt_ids.push_back(5);
  expect_same(ask_all(*engine, {second}), ask_all(*plain, {second}));
  EXPECT_GT(engine->stats().cached_tokens, 100u);
}

TEST_F(SpeculationTest, CanBeLeftToARequest) {
  const auto engine = load(Speculation::kNgram);
  Request request = make_request(circle(60, 7), 60);
  request.speculate = false;
  ask_all(*engine, {request});
  EXPECT_EQ(engine->stats().drafted_tokens, 0u);
}

TEST_F(SpeculationTest, TakesFewerStepsWhereTheDraftIsRight) {
  const auto engine =
      load(Speculation::kDraft, {}, "large.gguf", "large.gguf", std::chrono::milliseconds(10));
  ask_all(*engine, {make_request(circle(60, 7), 100)});
  expect_no_leaks(*engine);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.generated_tokens, 100u);
  EXPECT_EQ(stats.accepted_draft_tokens, stats.drafted_tokens);  // both are greedy
  EXPECT_LT(stats.steps, 90u);
}

TEST_F(SpeculationTest, RefusesADraftModelWithAnotherVocabulary) {
  EngineOptions options;
  options.speculation = Speculation::kDraft;
  options.draft_path = folder_->file("other.gguf");
  const auto engine =
      Engine::load(folder_->file("large.gguf"), std::move(*make_cpu_backend({})), options);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, ErrorCode::kBadInput);
  for (const char* part : {"other.gguf", "500", "600"}) {
    EXPECT_NE(engine.error().message.find(part), std::string::npos) << engine.error().message;
  }
}

TEST_F(SpeculationTest, CountsTheDraftModelInTheMemoryPlan) {
  const auto backend = std::move(*make_cpu_backend({}));
  const auto large = std::move(*Checkpoint::open(folder_->file("large.gguf")));
  const auto small = std::move(*Checkpoint::open(folder_->file("small.gguf")));
  EngineOptions options;
  options.speculation = Speculation::kDraft;
  const MemoryPlan alone = Engine::plan(large, *backend, options);
  const MemoryPlan both = Engine::plan(large, *backend, options, &small);
  EXPECT_EQ(alone.draft, 0u);
  EXPECT_GT(both.draft, 0u);
  EXPECT_EQ(both.total(), alone.total() + both.draft);
  options.memory_limit_bytes = both.total() - 1;
  EXPECT_LT(Engine::plan(large, *backend, options, &small).n_pages, both.n_pages);
}

// Of six tokens that may come, 2,000 answers draw four each after a prompt in which every two of
// them stand side by side, so that there is always a guess. What came after each beginning is
// compared with the model's own distribution there.
TEST_F(SpeculationTest, LeavesDistributionsAsTheyAre) {
  constexpr size_t kTokens = 6;
  const auto engine = load(Speculation::kNgram);
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 36; ++i) prompt.insert(prompt.end(), {i / 6, i % 6});  // every pair
  Request request = make_request(prompt, 4);
  request.routing = false;
  request.sampling.temperature = 1;
  request.n_answers = 8;
  for (int32_t id = kTokens; id < 600; ++id) request.sampling.logit_bias.push_back({id, -1000.0f});
  std::map<std::vector<int32_t>, std::array<double, kTokens>> counts;  // by what came before
  for (size_t seed = 0; seed < 2000; seed += request.n_answers) {
    request.sampling.seed = seed;
    for (const Heard& heard : ask_all(*engine, {request})) {
      for (size_t n = 0; n < heard.ids.size(); ++n) {
        const std::vector<int32_t> before(heard.ids.begin(),
                                          heard.ids.begin() + static_cast<ptrdiff_t>(n));
        counts[before].at(static_cast<size_t>(heard.ids[n])) += 1;
      }
    }
  }
  const EngineStats stats = engine->stats();
  EXPECT_GT(stats.accepted_draft_tokens, 0u);
  EXPECT_GT(stats.drafted_tokens, stats.accepted_draft_tokens);
  double chi_square = 0, n_free = 0;
  for (const auto& [before, found] : counts) {
    double n = 0, sum = 0;
    for (const double count : found) n += count;
    if (n < 50) continue;
    std::array<double, kTokens> weights{};
    std::vector<int32_t> ids = request.prompt_ids;
    ids.insert(ids.end(), before.begin(), before.end());
    const auto weigh = [&](size_t, std::span<const float> logits) {
      for (size_t i = 0; i < kTokens; ++i) sum += weights[i] = std::exp(logits[i]);
      return Status();
    };
    ASSERT_TRUE(engine->score(ids, weigh, nullptr, ids.size() - 1));
    for (size_t i = 0; i < kTokens; ++i) {
      const double mean = n * weights[i] / sum;
      chi_square += (found[i] - mean) * (found[i] - mean) / mean;
    }
    n_free += kTokens - 1;
  }
  // Four standard deviations above the mean. The seeds are fixed: it does not fail by chance.
  EXPECT_GT(n_free, 50);
  EXPECT_LT(chi_square, n_free + 4 * std::sqrt(2 * n_free));
}

TEST(NgramDrafter, FindsTheLatestOfTheLongestMatches) {
  NgramDrafter drafter;
  std::vector<int32_t> tokens;
  const std::vector<int32_t> ids = {1, 2, 3, 9, 7, 2, 3, 8, 1, 2, 3, 6, 7, 2, 3};
  const DraftOffer offer = drafter.look(ids, 4);
  EXPECT_EQ(offer.evidence, 3u);  // 7 2 3, then 8
  drafter.draft(ids, 4, tokens);
  EXPECT_EQ(tokens, (std::vector<int32_t>{8, 1, 2, 3}));
}

TEST(NgramDrafter, FindsWhatASearchFinds) {
  Rng rng(5);
  NgramDrafter drafter;
  std::vector<int32_t> ids = {0, 1}, tokens;
  for (size_t n = 0; n < 2000; ++n) {
    ids.push_back(static_cast<int32_t>(rng.below(12)));
    size_t longest = 1, next = 0;
    for (size_t end = ids.size() - 1; end-- > 1;) {
      size_t match = 0;
      while (match < kMaxEvidence && match <= end &&
             ids[end - match] == ids[ids.size() - 1 - match]) {
        ++match;
      }
      if (match > longest) longest = match, next = end + 1;
    }
    const DraftOffer offer = drafter.look(ids, 3);
    if (longest < 2) {
      EXPECT_EQ(offer.n_tokens, 0u);
      continue;
    }
    EXPECT_EQ(offer.n_tokens, 3u);
    EXPECT_LE(offer.evidence, longest);  // a chain is not followed for ever
    if (offer.evidence < longest) continue;
    drafter.draft(ids, 1, tokens);
    EXPECT_EQ(tokens[0], ids[next]);
  }
}

TEST(NgramDrafter, GoesOnInCircles) {
  NgramDrafter drafter;
  std::vector<int32_t> tokens;
  const std::vector<int32_t> ids = {4, 5, 4, 5, 4};
  ASSERT_EQ(drafter.look(ids, 7).n_tokens, 7u);
  drafter.draft(ids, 7, tokens);
  EXPECT_EQ(tokens, (std::vector<int32_t>{5, 4, 5, 4, 5, 4, 5}));
}

TEST(StepCosts, LearnAndForget) {
  StepCosts costs(20);
  EXPECT_LT(costs.of(8) / costs.of(1), 1.7);  // worth a try
  for (int i = 0; i < 50; ++i) costs.add(1, 0.010);
  for (int i = 0; i < 50; ++i) costs.add(5, 0.030);
  EXPECT_NEAR(costs.of(1), 0.010, 1e-6);
  EXPECT_NEAR(costs.of(5), 0.030, 1e-6);
  EXPECT_LE(costs.of(3), 0.020 + 1e-6);
  EXPECT_GT(costs.of(9), costs.of(5));
  for (int i = 0; i < 2000; ++i) costs.add(1, 0.020);
  EXPECT_LT(costs.of(5), 0.030);  // long ago
}

TEST(Acceptance, FollowsWhatHappens) {
  double of_model = 0.5;
  Acceptance acceptance(of_model);
  for (int i = 0; i < 100; ++i) acceptance.observe(2, i % 4 == 0);
  EXPECT_NEAR(acceptance.chance(2), 0.25, 0.1);
  for (int i = 0; i < 100; ++i) acceptance.observe(20, true);
  EXPECT_GT(acceptance.chance(kMaxEvidence), 0.99);
  EXPECT_EQ(of_model, 0.5);
}

TEST(Acceptance, OfAModelBeginsWithWhatOtherSequencesSaw) {
  double of_model = 0.5;
  Acceptance first(of_model);
  for (int i = 0; i < 10; ++i) first.observe(0, true);
  EXPECT_GT(first.chance(0), 0.8);
  EXPECT_GT(of_model, 0.6);
  EXPECT_LT(of_model, first.chance(0));  // a sequence is surer of itself than of others
  EXPECT_EQ(Acceptance(of_model).chance(0), of_model);
}

}  // namespace
}  // namespace mixtral::testing
