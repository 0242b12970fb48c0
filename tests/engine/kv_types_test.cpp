// Whatever type keys and values are kept in: an answer has the bits that it has alone, in a crowd,
// after a cache hit, after its pages were taken, and with guesses.
#include <gtest/gtest.h>

#include <thread>

#include "convert/make_model.h"
#include "convert/write_model.h"
#include "cpu/cpu_backend.h"
#include "engine/engine.h"
#include "support/golden.h"
#include "support/heard.h"
#include "support/small_mixtral.h"
#include "support/wrapped_backend.h"

namespace mixtral::testing {
namespace {

// Goes round in a circle, so that there is something to guess.
Request make_request(size_t n_prompt, size_t period, size_t max_tokens) {
  Request request;
  for (size_t i = 0; i < n_prompt; ++i) {
    request.prompt_ids.push_back(static_cast<int32_t>(i % period * 17 + 3));
  }
  request.max_tokens = max_tokens;
  request.ignore_end = true;
  request.sampling.temperature = 0;
  request.sampling.n_logprobs = 2;
  return request;
}

class EveryKvType : public ::testing::TestWithParam<KvType> {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    write("model.gguf", 0);
    write("window.gguf", kWindow);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static void write(const std::string& name, size_t sliding_window) {
    ModelConfig config = small_mixtral();
    config.sliding_window = sliding_window;
    const auto model = make_random_model({"test", config, *type_mix_from_name("Q4_K_M"), 3});
    ASSERT_TRUE(write_model(*model, ModelFormat::kGguf, folder_->file(name), {}, nullptr));
  }

  // With guesses a step begins with a wait, so that rows cost next to nothing and guessing pays.
  static std::unique_ptr<Engine> load(EngineOptions options = {},
                                      const std::string& name = "model.gguf") {
    CpuBackendOptions cpu;
    cpu.n_threads = 1;
    cpu.kv_type = GetParam();
    auto backend = std::make_unique<WrappedBackend>(std::move(*make_cpu_backend(cpu)));
    if (options.speculation != Speculation::kNone) {
      backend->on_step = [](size_t) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
    }
    if (options.context_len == 0) options.context_len = 256;
    auto engine = Engine::load(folder_->file(name), std::move(backend), options);
    EXPECT_TRUE(engine) << engine.error().message;
    EXPECT_EQ((*engine)->model().kv_layout().type, GetParam());
    return *std::move(engine);
  }

  static std::vector<Request> some_requests() {
    std::vector<Request> requests;
    for (size_t i = 0; i < 5; ++i) requests.push_back(make_request(30 + 17 * i, 5 + i, 100));
    return requests;
  }

  // Each from an empty cache, nobody else there.
  static std::vector<HeardAll> ask_alone(std::vector<Request> requests) {
    const auto engine = load();
    std::vector<HeardAll> all;
    for (size_t i = 0; i < requests.size(); ++i) {
      requests[i].cache_salt = std::to_string(i);
      all.push_back(ask(*engine, requests[i]));
      EXPECT_EQ(all.back().answers[0].ids.size(), requests[i].max_tokens);
    }
    EXPECT_EQ(settled(*engine).cached_tokens, 0u);
    return all;
  }

  // Until nothing runs; the counters are up to date then.
  static EngineStats settled(Engine& engine) {
    const std::vector<int32_t> ids = {1, 2};
    EXPECT_TRUE(engine.score(ids, [](size_t, std::span<const float>) { return Status(); }));
    EXPECT_EQ(engine.stats().pages_used, engine.stats().pages_cached);
    return engine.stats();
  }

  static constexpr size_t kWindow = 70;
  static inline std::unique_ptr<TemporaryFolder> folder_;
};

TEST_P(EveryKvType, GivesTheBitsThatEachAnswerHasAlone) {
  const auto requests = some_requests();
  const auto expected = ask_alone(requests);
  {
    EngineOptions options;
    options.chunk_tokens = 40;
    options.shared_chunk_tokens = 13;
    const auto engine = load(options);
    SCOPED_TRACE("in a crowd");
    expect_same(ask_all(*engine, requests), expected);
    const uint64_t n_before = settled(*engine).cached_tokens;
    SCOPED_TRACE("after a cache hit");
    expect_same(ask_all(*engine, requests), expected);
    EXPECT_GT(settled(*engine).cached_tokens, n_before);
  }
  {
    EngineOptions options;
    options.kv_bytes = 6 * load()->model().kv_layout().page_bytes();
    const auto engine = load(options);
    SCOPED_TRACE("after preemption");
    expect_same(ask_all(*engine, requests), expected);
    EXPECT_GT(settled(*engine).preemptions, 0u);
  }
  {
    EngineOptions options;
    options.speculation = Speculation::kNgram;
    const auto engine = load(options);
    SCOPED_TRACE("with speculation");
    expect_same(ask_all(*engine, requests), expected);
    EXPECT_GT(settled(*engine).accepted_draft_tokens, 0u);
  }
}

// Eight pages of positions pass through a pool that holds the window and no more.
TEST_P(EveryKvType, FreesThePagesThatAWindowHasPassed) {
  const Request request = make_request(80, 7, 420);
  EngineOptions options;
  options.context_len = 512;
  options.max_sequences = 1;
  options.chunk_tokens = 20;
  const auto roomy = load(options, "window.gguf");
  const Heard expected = ask(*roomy, request).answers[0];
  EXPECT_EQ(expected.ids.size(), request.max_tokens);
  const size_t n_pages = pages_per_sequence(512, kWindow, 20) + 1;
  ASSERT_LT(n_pages, pages_of(500));
  options.kv_bytes = n_pages * roomy->model().kv_layout().page_bytes();
  const auto engine = load(options, "window.gguf");
  expect_same(ask(*engine, request).answers[0], expected);
  const EngineStats stats = settled(*engine);
  EXPECT_EQ(stats.pages_total, n_pages);
  EXPECT_EQ(stats.preemptions, 0u);
}

INSTANTIATE_TEST_SUITE_P(Engine, EveryKvType,
                         ::testing::Values(KvType::kF32, KvType::kF16, KvType::kBF16,
                                           KvType::kQ8_0),
                         [](const auto& test) { return std::string(kv_type_name(test.param)); });

}  // namespace
}  // namespace mixtral::testing
