#include "engine/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>

#include "ops/reference.h"
#include "support/golden.h"

namespace mixtral {
namespace {

// Checkpoints without a tokenizer: ids in, ids out.
const char* const kMoe = "models/mixtral-tiny-f32";
const char* const kWindow = "models/mistral-window-bf16";

std::unique_ptr<Engine> load(const std::string& path, size_t chunk_tokens = 256,
                             size_t context_len = 512) {
  EngineOptions options;
  options.chunk_tokens = chunk_tokens;
  options.context_len = context_len;
  auto engine = Engine::load(path, make_reference_backend(), options);
  EXPECT_TRUE(engine) << engine.error().message;
  return engine ? *std::move(engine) : nullptr;
}

std::vector<int32_t> some_ids(size_t n, int32_t factor = 17) {
  std::vector<int32_t> ids(n);
  for (size_t i = 0; i < n; ++i) ids[i] = static_cast<int32_t>(i * i * factor % 251) + 3;
  return ids;
}

GenerateOptions greedy(size_t max_tokens) {
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.sampling.n_logprobs = 3;
  options.max_tokens = max_tokens;
  return options;
}

Generation generate(Engine& engine, const std::vector<int32_t>& prompt,
                    const GenerateOptions& options) {
  auto generation = engine.generate(prompt, options, [](const GeneratedToken&) {});
  EXPECT_TRUE(generation) << generation.error().message;
  return generation ? *std::move(generation) : Generation{};
}

std::vector<int32_t> ids_of(const Generation& generation) {
  std::vector<int32_t> ids;
  for (const SampledToken& token : generation.tokens) ids.push_back(token.id);
  return ids;
}

// Equal ids and bit-equal log-probabilities.
void expect_same(const Generation& a, const Generation& b) {
  ASSERT_EQ(ids_of(a), ids_of(b));
  for (size_t i = 0; i < a.tokens.size(); ++i) {
    EXPECT_EQ(a.tokens[i].logprob, b.tokens[i].logprob) << "token " << i;
    for (size_t n = 0; n < a.tokens[i].top.size(); ++n) {
      EXPECT_EQ(a.tokens[i].top[n].logprob, b.tokens[i].top[n].logprob);
    }
  }
}

std::vector<float> all_logits(Engine& engine, const std::vector<int32_t>& ids) {
  std::vector<float> all;
  const Status status = engine.score(ids, [&](size_t position, std::span<const float> logits) {
    EXPECT_EQ(position, all.size() / logits.size());
    all.insert(all.end(), logits.begin(), logits.end());
    return Status();
  });
  EXPECT_TRUE(status) << status.error().message;
  return all;
}

TEST(Engine, GivesTheSameLogitsForChunksOfAnySize) {
  for (const char* model : {kMoe, kWindow}) {
    MIXTRAL_FIND_GOLDEN(path, model);
    const auto ids = some_ids(150);
    const auto whole = load(path, 150);
    const std::vector<float> expected = all_logits(*whole, ids);
    for (const size_t chunk : {1, 7, 64, 149}) {
      const auto engine = load(path, chunk);
      EXPECT_EQ(all_logits(*engine, ids), expected) << model << " in chunks of " << chunk;
    }
  }
}

TEST(Engine, AnswersWithTheSameBitsFromTheCache) {
  for (const char* model : {kMoe, kWindow}) {
    MIXTRAL_FIND_GOLDEN(path, model);
    const auto prompt = some_ids(100);
    const auto fresh = load(path), used = load(path);
    auto longer = prompt;
    const Generation first = generate(*used, prompt, greedy(20));
    for (const int32_t id : ids_of(first)) longer.push_back(id);
    longer.push_back(42);

    const Generation cached = generate(*used, longer, greedy(20));
    EXPECT_EQ(cached.timings.cached_tokens, 119u);  // the last answer token was never computed
    expect_same(cached, generate(*fresh, longer, greedy(20)));
  }
}

TEST(Engine, ComputesAgainWhereThePromptDiffers) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  auto prompt = some_ids(100);
  const auto used = load(path);
  generate(*used, prompt, greedy(20));
  prompt[60] = 5;
  const Generation changed = generate(*used, prompt, greedy(20));
  EXPECT_EQ(changed.timings.cached_tokens, 60u);
  expect_same(changed, generate(*load(path), prompt, greedy(20)));
}

TEST(Engine, ComputesAtLeastTheLastTokenOfAKnownPrompt) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const auto engine = load(path);
  const Generation first = generate(*engine, some_ids(30), greedy(10));
  const Generation again = generate(*engine, some_ids(30), greedy(10));
  EXPECT_EQ(again.timings.cached_tokens, 29u);
  expect_same(first, again);
  const Generation shorter = generate(*engine, some_ids(20), greedy(10));
  expect_same(shorter, generate(*load(path), some_ids(20), greedy(10)));
}

TEST(Engine, FindsWhatAWindowHasPassedAsLongAsThereIsMemory) {
  MIXTRAL_FIND_GOLDEN(path, kWindow);
  const auto prompt = some_ids(400), other = some_ids(200);
  const Generation expected = generate(*load(path), other, greedy(10));
  const auto engine = load(path, 32);
  generate(*engine, prompt, greedy(1));
  const Generation found = generate(*engine, other, greedy(10));
  EXPECT_EQ(found.timings.cached_tokens, 199u);
  expect_same(found, expected);

  EngineOptions options;
  options.context_len = 512;
  options.chunk_tokens = 32;
  options.max_sequences = 1;  // and as many pages as a window and a chunk need
  auto small = Engine::load(path, make_reference_backend(), options);
  ASSERT_TRUE(small);
  generate(**small, prompt, greedy(1));
  const Generation lost = generate(**small, other, greedy(10));
  EXPECT_LT(lost.timings.cached_tokens, 199u);
  expect_same(lost, expected);
}

TEST(Engine, RepeatsASampledAnswerWithTheSameSeed) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const auto engine = load(path);
  GenerateOptions options = greedy(30);
  options.sampling.temperature = 1;
  options.sampling.seed = 5;
  const auto first = ids_of(generate(*engine, some_ids(10), options));
  EXPECT_EQ(ids_of(generate(*engine, some_ids(10), options)), first);
  options.sampling.seed = 6;
  EXPECT_NE(ids_of(generate(*engine, some_ids(10), options)), first);
}

TEST(Engine, StopsAtMaxTokensAndAtTheEndOfTheContext) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const auto engine = load(path, 16, 64);
  const Generation few = generate(*engine, some_ids(10), greedy(5));
  EXPECT_EQ(few.tokens.size(), 5u);
  EXPECT_EQ(few.finish_reason, FinishReason::kLength);
  const Generation full = generate(*engine, some_ids(60), greedy(0));
  EXPECT_EQ(full.tokens.size(), 4u);
  EXPECT_EQ(full.finish_reason, FinishReason::kLength);
}

TEST(Engine, RefusesAPromptThatLeavesNoRoom) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const auto engine = load(path, 16, 64);
  const auto refused =
      engine->generate(some_ids(64), greedy(1), [](const GeneratedToken&) { FAIL(); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(refused.error().message,
            "the prompt has 64 tokens, expected less than the 64 of the context");
  EXPECT_TRUE(all_logits(*engine, some_ids(64)).size() > 0);
  EXPECT_FALSE(
      engine->score(some_ids(65), [](size_t, std::span<const float>) { return Status(); }));
}

TEST(Engine, RefusesIdsOutsideTheVocabulary) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const auto engine = load(path);
  const auto vocab_size = static_cast<int32_t>(engine->model().config().vocab_size);
  for (const int32_t id : {-1, vocab_size}) {
    const std::vector<int32_t> ids = {1, id};
    const auto refused = engine->generate(ids, greedy(1), [](const GeneratedToken&) { FAIL(); });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message,
              fmt::format("token id {} at position 1 is outside the vocabulary of {} tokens", id,
                          vocab_size));
  }
  EXPECT_FALSE(engine->generate({}, greedy(1), [](const GeneratedToken&) { FAIL(); }));
}

TEST(Engine, StopsWhenCancelled) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const auto engine = load(path, 16);
  std::atomic<bool> cancel = false;
  GenerateOptions options = greedy(50);
  options.cancel = &cancel;
  size_t n_seen = 0;
  const auto generation = engine->generate(some_ids(100), options, [&](const GeneratedToken&) {
    if (++n_seen == 3) cancel = true;
  });
  ASSERT_TRUE(generation);
  EXPECT_EQ(generation->finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(generation->tokens.size(), 3u);

  const Generation unread = generate(*engine, some_ids(200, 31), options);  // still set
  EXPECT_EQ(unread.finish_reason, FinishReason::kCancelled);
  EXPECT_TRUE(unread.tokens.empty());
  cancel = false;
  expect_same(generate(*engine, some_ids(100), options),
              generate(*load(path), some_ids(100), options));
}

TEST(Engine, EndsScoringWithTheCallersError) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const auto engine = load(path);
  size_t n_calls = 0;
  const Status status = engine->score(some_ids(10), [&](size_t, std::span<const float>) -> Status {
    if (++n_calls == 4) return fail(ErrorCode::kIo, "full");
    return {};
  });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "full");
  EXPECT_EQ(n_calls, 4u);
}

TEST(Engine, RefusesAModelThatDoesNotFit) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  EngineOptions options;
  options.memory_limit_bytes = 1000000;
  const auto refused = Engine::load(path, make_reference_backend(), options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  EXPECT_NE(refused.error().message.find("shorter context"), std::string::npos);
}

TEST(Engine, PlansTheMemoryThatItTakes) {
  MIXTRAL_FIND_GOLDEN(path, kMoe);
  const auto engine = load(path);
  EngineOptions options;
  options.context_len = 512;
  const MemoryPlan plan = Engine::plan(engine->checkpoint(), engine->model().backend(), options);
  EXPECT_EQ(plan.weights, engine->model().weight_bytes());
  EXPECT_EQ(plan.n_pages, 16u * 8);  // 16 sequences of the whole context
  EXPECT_EQ(plan.kv_cache, plan.n_pages * engine->model().kv_layout().page_bytes());
  const size_t vocab_size = engine->model().config().vocab_size;
  EXPECT_EQ(plan.scratch, engine->model().arena_bytes(256, 96) + 96 * vocab_size * sizeof(float));
}

}  // namespace
}  // namespace mixtral
