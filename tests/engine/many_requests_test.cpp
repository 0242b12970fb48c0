// Many requests at once: each gets the bits that it gets alone, whatever happens to it or beside
// it.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "convert/make_model.h"
#include "convert/write_model.h"
#include "cpu/cpu_backend.h"
#include "engine/engine.h"
#include "ops/reference.h"
#include "support/golden.h"
#include "support/heard.h"
#include "support/small_mixtral.h"
#include "support/wrapped_backend.h"

namespace mixtral::testing {
namespace {

Request make_request(std::vector<int32_t> ids, size_t max_tokens) {
  Request request;
  request.prompt_ids = std::move(ids);
  request.max_tokens = max_tokens;
  request.ignore_end = true;
  request.sampling.temperature = 0;
  request.sampling.n_logprobs = 2;
  return request;
}

std::vector<int32_t> some_ids(size_t n, uint64_t factor) {
  std::vector<int32_t> ids(n);
  for (size_t i = 0; i < n; ++i) ids[i] = static_cast<int32_t>((i * i + 3) * factor % 241) + 3;
  return ids;
}

class ManyRequests : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    const auto model =
        make_random_model({"test", small_mixtral(), *type_mix_from_name("Q4_K_M"), 3});
    ASSERT_TRUE(write_model(*model, ModelFormat::kGguf, path(), {}, nullptr));
  }
  static void TearDownTestSuite() { folder_.reset(); }
  static std::string path() { return folder_->file("model.gguf"); }

  std::unique_ptr<Engine> load(EngineOptions options = {}, int32_t poisoned_id = -1) {
    CpuBackendOptions cpu;
    cpu.n_threads = 2;
    auto backend = std::make_unique<WrappedBackend>(std::move(*make_cpu_backend(cpu)));
    backend->poisoned_id = poisoned_id;
    backend->on_step = [this](size_t) { const std::lock_guard wait(gate_); };
    options.context_len = 256;
    auto engine = Engine::load(path(), std::move(backend), options);
    EXPECT_TRUE(engine) << engine.error().message;
    return *std::move(engine);
  }

  // Greedy and drawn, long and short, some with the same beginning.
  static std::vector<Request> some_requests() {
    std::vector<Request> requests;
    for (size_t i = 0; i < 10; ++i) {
      auto ids = i % 2 == 0 ? some_ids(90, 7) : some_ids(5 + 13 * i, 11 + i);
      ids.push_back(static_cast<int32_t>(i));
      Request request = make_request(std::move(ids), 20 + 5 * i);
      if (i % 3 == 0) {
        request.sampling.temperature = 1;
        request.sampling.seed = i;
        request.sampling.repetition_penalty = 1.1f;
      }
      requests.push_back(request);
    }
    return requests;
  }

  // Each from an empty cache, nobody else there.
  std::vector<HeardAll> ask_alone(std::vector<Request> requests) {
    const auto engine = load();
    std::vector<HeardAll> all;
    for (size_t i = 0; i < requests.size(); ++i) {
      requests[i].cache_salt = std::to_string(i);
      all.push_back(ask(*engine, requests[i]));
      EXPECT_EQ(all.back().prompt->n_cached, 0u);
    }
    return all;
  }

  // Until nothing runs; the counters are up to date then.
  static EngineStats settled(Engine& engine) {
    EXPECT_TRUE(
        engine.score(some_ids(2, 5), [](size_t, std::span<const float>) { return Status(); }));
    return engine.stats();
  }

  static std::unique_ptr<TemporaryFolder> folder_;
  std::mutex gate_;  // steps wait for it
};
std::unique_ptr<TemporaryFolder> ManyRequests::folder_;

TEST_F(ManyRequests, GetTheBitsThatTheyGetAlone) {
  const auto requests = some_requests();
  const auto expected = ask_alone(requests);
  EngineOptions options;
  options.chunk_tokens = 40;
  options.shared_chunk_tokens = 13;
  options.max_sequences = 16;
  const auto engine = load(options);
  for (const char* round : {"in a crowd", "with everything known"}) {
    const auto found = ask_all(*engine, requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      SCOPED_TRACE(fmt::format("request {}, {}", i, round));
      expect_same(found[i].answers[0], expected[i].answers[0]);
    }
  }
  const EngineStats stats = settled(*engine);
  EXPECT_GT(stats.cached_tokens, 10u * 50);
  EXPECT_EQ(stats.preemptions, 0u);
  EXPECT_EQ(stats.requests_accepted, 2 * requests.size());
  EXPECT_EQ(stats.answers_finished[static_cast<size_t>(FinishReason::kLength)],
            2 * requests.size());
  EXPECT_EQ(stats.running + stats.waiting, 0u);
  EXPECT_EQ(stats.pages_used, stats.pages_cached);
  EXPECT_EQ(stats.expert_tokens.size(), 2u * 8);
  uint64_t n_chosen = 0;
  for (const uint64_t n : stats.expert_tokens) n_chosen += n;
  EXPECT_EQ(n_chosen, stats.step_rows * 2 * 2);  // layers, experts per token
}

TEST_F(ManyRequests, GetTheSameBitsAfterLosingTheirPages) {
  std::vector<Request> requests;
  for (size_t i = 0; i < 6; ++i) {
    requests.push_back(make_request(some_ids(10 + i, 7 + i), 150));
    requests.back().sampling.temperature = i % 2 == 0 ? 0 : 1;
  }
  const auto expected = ask_alone(requests);
  EngineOptions options;
  options.kv_bytes = 6 * load()->model().kv_layout().page_bytes();
  const auto engine = load(options);
  const auto found = ask_all(*engine, requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE(i);
    expect_same(found[i].answers[0], expected[i].answers[0]);
  }
  EXPECT_GT(settled(*engine).preemptions, 0u);
}

TEST_F(ManyRequests, GetSeveralAnswersFromOnePrompt) {
  const auto engine = load();
  Request request = make_request(some_ids(100, 7), 30);
  request.sampling.temperature = 1;
  request.sampling.seed = 5;
  std::vector<Heard> expected;
  for (size_t i = 0; i < 4; ++i) {
    Request one = request;
    one.sampling.seed += i;
    one.cache_salt = std::to_string(i);
    expected.push_back(ask(*engine, one).answers[0]);
  }
  request.n_answers = 4;
  const HeardAll found = ask(*engine, request);
  for (size_t i = 0; i < 4; ++i) expect_same(found.answers[i], expected[i]);
  EXPECT_NE(found.answers[0].ids, found.answers[1].ids);
  EXPECT_EQ(engine->stats().prompt_tokens, 5u * 100);
}

TEST_F(ManyRequests, EndAloneWithAnErrorWhenTheirLogitsAreNotFinite) {
  const auto requests = some_requests();
  const auto expected = ask_alone(requests);
  const auto engine = load({}, 599);
  auto poisoned = some_ids(90, 7);  // begins as others do
  poisoned.push_back(599);
  std::vector<Request> all = requests;
  all.insert(all.begin() + 2, make_request(poisoned, 10));
  auto found = ask_all(*engine, all);
  const Heard& bad = found[2].answers[0];
  ASSERT_TRUE(bad.end);
  EXPECT_EQ(bad.end->reason, FinishReason::kError);
  ASSERT_TRUE(bad.end->error);
  EXPECT_EQ(bad.end->error->code, ErrorCode::kDevice);
  EXPECT_NE(bad.end->error->message.find("logit"), std::string::npos);
  EXPECT_TRUE(bad.ids.empty());
  found.erase(found.begin() + 2);
  for (size_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE(i);
    expect_same(found[i].answers[0], expected[i].answers[0]);
  }
  const EngineStats stats = settled(*engine);
  EXPECT_EQ(stats.pages_used, stats.pages_cached);
}

TEST_F(ManyRequests, KnowTheStepOfEachToken) {
  const auto engine = load();
  const std::vector<uint64_t> first = {1, 2, 3, 4};
  EXPECT_EQ(ask(*engine, make_request({1, 2}, 4)).answers[0].steps, first);
  const auto together = ask_all(*engine, {make_request({3, 4}, 4), make_request({5, 6}, 4)});
  for (const HeardAll& heard : together) {  // the second may have missed the first's first step
    const auto& steps = heard.answers[0].steps;
    EXPECT_TRUE(steps[0] == 5 || steps[0] == 6) << steps[0];
    for (size_t i = 1; i < 4; ++i) EXPECT_EQ(steps[i], steps[0] + i);
  }
}

TEST_F(ManyRequests, AreReadAtTheirPaceHoweverManyStream) {
  EngineOptions options;
  options.max_sequences = 8;
  options.chunk_tokens = options.shared_chunk_tokens = 8;
  const auto engine = load(options);
  std::vector<Stream> streams;
  for (int32_t i = 1; i < 8; ++i) {
    streams.push_back(submit(*engine, make_request({i}, 200)));
    while (!std::holds_alternative<AnswerToken>(*streams.back().next())) {
    }
  }
  std::unique_lock hold(gate_);
  const uint64_t before = engine->stats().steps;
  Stream last = submit(*engine, make_request(some_ids(64, 7), 1));
  hold.unlock();
  EXPECT_LE(listen(last).answers[0].steps[0], before + 64 / 8 + 2);
}

TEST_F(ManyRequests, AreRefusedAtOnceWhenTheQueueIsFull) {
  EngineOptions options;
  options.max_sequences = 1;
  options.max_waiting = 2;
  const auto engine = load(options);
  std::unique_lock hold(gate_);
  std::vector<Stream> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(submit(*engine, make_request({1, 2}, 5)));
  const auto refused = engine->submit(make_request({1, 2}, 5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBusy);
  EXPECT_EQ(engine->stats().requests_refused, 1u);
  hold.unlock();
  for (Stream& stream : streams) EXPECT_EQ(listen(stream).answers[0].ids.size(), 5u);
  EXPECT_EQ(ask(*engine, make_request({1, 2}, 5)).answers[0].ids.size(), 5u);
}

TEST_F(ManyRequests, EndWhenCancelled) {
  const auto engine = load();
  Stream running = submit(*engine, make_request(some_ids(20, 7), 200));
  while (!std::holds_alternative<AnswerToken>(*running.next())) {
  }
  running.cancel();
  const HeardAll heard = listen(running);
  EXPECT_EQ(heard.answers[0].end->reason, FinishReason::kCancelled);
  EXPECT_LT(heard.answers[0].ids.size(), 150u);
  { const Stream dropped = submit(*engine, make_request(some_ids(20, 9), 200)); }
  while (engine->stats().answers_finished[static_cast<size_t>(FinishReason::kCancelled)] < 2) {
    ask(*engine, make_request({1}, 1));
  }
  const EngineStats stats = settled(*engine);
  EXPECT_EQ(stats.pages_used, stats.pages_cached);
}

TEST_F(ManyRequests, EndAtTheirDeadline) {
  const auto engine = load();
  Request request = make_request(some_ids(20, 7), 200);
  request.deadline = Clock::now() - std::chrono::seconds(1);
  const HeardAll late = ask(*engine, request);
  EXPECT_FALSE(late.prompt);
  EXPECT_EQ(late.answers[0].end->reason, FinishReason::kDeadline);

  std::unique_lock hold(gate_);
  request.deadline = Clock::now() + std::chrono::milliseconds(20);
  Stream stream = submit(*engine, request);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  hold.unlock();
  const HeardAll begun = listen(stream);
  EXPECT_EQ(begun.answers[0].end->reason, FinishReason::kDeadline);
  EXPECT_LT(begun.answers[0].ids.size(), 200u);
}

TEST_F(ManyRequests, NeverShareAcrossSalts) {
  const auto engine = load();
  for (const char* salt : {"", "a", "b", "ab"}) {
    Request request = make_request(some_ids(150, 7), 3);
    request.cache_salt = salt;
    EXPECT_EQ(ask(*engine, request).prompt->n_cached, 0u) << salt;
    EXPECT_EQ(ask(*engine, request).prompt->n_cached, 149u) << salt;
  }
}

TEST_F(ManyRequests, TellOfThePrompt) {
  const auto ids = some_ids(120, 7);
  std::vector<SampledToken> expected;
  const auto reference = load();
  std::vector<TokenLogprob> scratch;
  expected.push_back({ids[0], 0, {}});
  const Status scored =
      reference->score(ids, [&](size_t position, std::span<const float> logits) -> Status {
        if (position + 1 == ids.size()) return {};
        SampledToken token = {ids[position + 1], 0, {}};
        MIXTRAL_TRY(report_logprobs(logits, 3, scratch, token));
        expected.push_back(token);
        return {};
      });
  ASSERT_TRUE(scored);

  Request request;
  request.prompt_ids = ids;
  request.prompt_only = true;
  request.n_prompt_logprobs = 3;
  request.embedding = true;
  request.routing = true;
  std::vector<float> embedding;
  std::vector<TokenRouting> routing;
  for (const size_t chunk : {7, 64, 256}) {
    EngineOptions options;
    options.chunk_tokens = chunk;
    options.max_sequences = 4;
    const auto engine = load(options);
    ask(*engine, make_request(ids, 3));  // a hit must not leave anything out
    Stream stream = submit(*engine, request);
    const auto event = stream.next();
    ASSERT_TRUE(event && std::holds_alternative<PromptRead>(*event));
    EXPECT_TRUE(stream.done());
    const auto& read = std::get<PromptRead>(*event);
    ASSERT_EQ(read.logprobs.size(), ids.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(read.logprobs[i].id, ids[i]);
      EXPECT_EQ(read.logprobs[i].logprob, expected[i].logprob);
      ASSERT_EQ(read.logprobs[i].top.size(), expected[i].top.size());
      for (size_t n = 0; n < expected[i].top.size(); ++n) {
        EXPECT_EQ(read.logprobs[i].top[n].id, expected[i].top[n].id);
        EXPECT_EQ(read.logprobs[i].top[n].logprob, expected[i].top[n].logprob);
      }
    }
    double length = 0;
    for (const float x : read.embedding) length += static_cast<double>(x) * x;
    EXPECT_NEAR(length, 1, 1e-5);  // f32 rounding of 256 squares
    ASSERT_EQ(read.routing.size(), ids.size());
    if (embedding.empty()) {
      embedding = read.embedding;
      routing = read.routing;
    }
    EXPECT_EQ(read.embedding, embedding);
    for (size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(read.routing[i].expert_ids, routing[i].expert_ids);
      EXPECT_EQ(read.routing[i].probs, routing[i].probs);
      EXPECT_EQ(read.routing[i].probs.size(), 2u * 2);
    }
  }
}

TEST_F(ManyRequests, ShowTheExpertsOfTheirTokens) {
  const auto engine = load();
  Request request = make_request(some_ids(30, 7), 10);
  request.routing = true;
  const HeardAll heard = ask(*engine, request);
  ASSERT_EQ(heard.answers[0].routing.size(), 10u);
  EXPECT_EQ(heard.answers[0].routing[0].expert_ids, heard.prompt->routing.back().expert_ids);
  // The same tokens as a prompt are routed alike.
  Request whole = make_request(some_ids(30, 7), 1);
  whole.cache_salt = "other";
  whole.routing = true;
  for (const int32_t id : heard.answers[0].ids) whole.prompt_ids.push_back(id);
  const HeardAll again = ask(*engine, whole);
  for (size_t i = 1; i < 10; ++i) {
    EXPECT_EQ(heard.answers[0].routing[i].probs, again.prompt->routing[29 + i].probs);
  }
}

TEST_F(ManyRequests, KeepStopIdsForAfterMinTokens) {
  const auto engine = load();
  Request request = make_request(some_ids(30, 7), 20);
  const auto free = ask(*engine, request).answers[0].ids;
  request.stop_ids = {free[2]};
  const Heard stopped = ask(*engine, request).answers[0];
  EXPECT_EQ(stopped.end->reason, FinishReason::kStop);
  EXPECT_EQ(stopped.end->stop_id, free[2]);
  EXPECT_EQ(stopped.ids, std::vector<int32_t>(free.begin(), free.begin() + 3));
  request.min_tokens = 12;
  const Heard later = ask(*engine, request).answers[0];
  EXPECT_GE(later.ids.size(), 13u);
  EXPECT_EQ(std::count(later.ids.begin(), later.ids.begin() + 12, free[2]), 0);
}

TEST_F(ManyRequests, TellWhenEventsAreReady) {
  const auto engine = load();
  Stream stream = submit(*engine, make_request(some_ids(30, 7), 20));
  std::mutex mutex;
  std::condition_variable ready;
  bool is_ready = false;
  stream.on_ready([&] {
    const std::lock_guard lock(mutex);
    is_ready = true;
    ready.notify_one();
  });
  size_t n_events = 0;
  while (!stream.done()) {
    std::unique_lock lock(mutex);
    ready.wait(lock, [&] { return is_ready; });
    is_ready = false;
    lock.unlock();
    while (stream.try_next()) ++n_events;
  }
  EXPECT_EQ(n_events, 22u);
}

TEST_F(ManyRequests, ComeFromManyThreads) {
  EngineOptions options;
  options.max_sequences = 5;
  const auto engine = load(options);
  std::vector<std::thread> threads;
  std::atomic<size_t> n_tokens = 0;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 6; ++i) {
        Request request = make_request(some_ids(20 + 9 * i, 7 + t), 8);
        request.client = std::to_string(t);
        Stream stream = submit(*engine, std::move(request));
        if (i % 3 == 2) stream.cancel();
        n_tokens += listen(stream).answers[0].ids.size();
        EXPECT_LE(engine->stats().running, 5u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(n_tokens, 4u * 4 * 8);
  const EngineStats stats = settled(*engine);
  EXPECT_EQ(stats.requests_accepted, 24u);
  EXPECT_EQ(stats.generated_tokens, n_tokens);
  EXPECT_EQ(stats.pages_used, stats.pages_cached);
}

TEST_F(ManyRequests, EndWithTheirEngine) {
  auto engine = load();
  Stream stream = submit(*engine, make_request(some_ids(30, 7), 200));
  Stream waiting = submit(*engine, make_request(some_ids(40, 7), 200));
  engine.reset();
  EXPECT_EQ(listen(stream).answers[0].end->reason, FinishReason::kCancelled);
  EXPECT_EQ(listen(waiting).answers[0].end->reason, FinishReason::kCancelled);
}

TEST_F(ManyRequests, AreRefusedWithTheReason) {
  const auto engine = load();
  const auto message = [&](const Request& request) {
    const auto refused = engine->submit(request);
    return refused ? std::string("accepted") : refused.error().message;
  };
  EXPECT_EQ(message(make_request(some_ids(256, 7), 1)),
            "the prompt has 256 tokens, expected less than the 256 of the context");
  Request request = make_request({1, 2}, 1);
  request.n_answers = 65;
  EXPECT_EQ(message(request), "n: 65 answers, expected 1 to 64");
  request = make_request({1, 2}, 1);
  request.n_prompt_logprobs = 601;
  EXPECT_EQ(message(request), "prompt_logprobs: 601, expected at most the 600 tokens there are");
  EXPECT_EQ(message(make_request({1, 600}, 1)),
            "token id 600 at position 1 is outside the vocabulary of 600 tokens");
  EXPECT_EQ(message(make_request({}, 1)), "no token ids, expected at least one");
}

TEST_F(ManyRequests, NeedPagesForOneContext) {
  EngineOptions options;
  options.context_len = 256;
  options.kv_bytes = 4 * load()->model().kv_layout().page_bytes();
  const auto refused = Engine::load(path(), std::move(*make_cpu_backend({})), options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  EXPECT_NE(refused.error().message.find("memory for 4 pages"), std::string::npos);
  EXPECT_NE(refused.error().message.find("shorter context"), std::string::npos);
}

}  // namespace
}  // namespace mixtral::testing
