// The C interface says what the C++ one says: each answer is compared bit by bit.
#include "c/mixtral.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>

#include "convert/make_model.h"
#include "convert/write_model.h"
#include "cpu/cpu_backend.h"
#include "engine/engine.h"
#include "support/adapter_files.h"
#include "support/golden.h"
#include "support/small_mixtral.h"

namespace mixtral::testing {
namespace {

constexpr size_t kTokens = 60;

struct Free {
  void operator()(mixtral_engine* engine) const { mixtral_engine_free(engine); }
  void operator()(mixtral_request* request) const { mixtral_request_free(request); }
  void operator()(mixtral_stream* stream) const { mixtral_stream_free(stream); }
  void operator()(mixtral_error* error) const { mixtral_error_free(error); }
};
template <class Handle>
using Owned = std::unique_ptr<Handle, Free>;

struct Answer {
  std::vector<int32_t> ids;
  std::vector<double> logprobs;
  std::string text;
  bool operator==(const Answer&) const = default;  // bit for bit
};

// What a call that failed reported.
struct Refusal {
  mixtral_status status = MIXTRAL_OK;
  std::string message;
};

Refusal take_refusal(mixtral_status status, mixtral_error* error) {
  const Owned<mixtral_error> owned(error);
  if (error == nullptr) return {status, ""};
  EXPECT_EQ(mixtral_error_status(error), status);
  return {status, mixtral_error_message(error)};
}

// Repeats itself, so that there is something to guess from.
std::vector<int32_t> prompt() {
  std::vector<int32_t> ids(60);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i % 7 * 17 + 3);
  return ids;
}

Owned<mixtral_request> make_request(const char* adapter) {
  Owned<mixtral_request> request(mixtral_request_new());
  const auto ids = prompt();
  EXPECT_EQ(mixtral_request_set_prompt(request.get(), ids.data(), ids.size()), MIXTRAL_OK);
  EXPECT_EQ(mixtral_request_set_adapter(request.get(), adapter), MIXTRAL_OK);
  mixtral_request_set_max_tokens(request.get(), kTokens);
  mixtral_request_set_min_tokens(request.get(), kTokens);
  mixtral_request_set_temperature(request.get(), 0);
  mixtral_request_set_logprobs(request.get(), 1);
  return request;
}

Answer ask(mixtral_engine* engine, const mixtral_request* request) {
  mixtral_stream* submitted = nullptr;
  mixtral_error* error = nullptr;
  EXPECT_EQ(mixtral_submit(engine, request, &submitted, &error), MIXTRAL_OK)
      << take_refusal(MIXTRAL_OK, error).message;
  const Owned<mixtral_stream> stream(submitted);
  Answer answer;
  mixtral_event event;
  while (stream && mixtral_stream_next(stream.get(), &event, sizeof(event)) != 0) {
    if (event.kind == MIXTRAL_EVENT_PROMPT) continue;
    answer.text.append(event.text, event.n_text_bytes);
    EXPECT_EQ(event.error_message, nullptr) << event.error_message;
    if (event.kind == MIXTRAL_EVENT_END) continue;
    answer.ids.push_back(event.token_id);
    answer.logprobs.push_back(event.logprob);
  }
  return answer;
}

Answer ask(mixtral_engine* engine, const char* adapter) {
  return ask(engine, make_request(adapter).get());
}

// The same request to the C++ engine.
Answer ask(Engine& engine, const std::string& adapter) {
  Request request;
  request.prompt_ids = prompt();
  request.adapter = adapter;
  request.max_tokens = request.min_tokens = kTokens;
  request.sampling.temperature = 0;
  request.sampling.n_logprobs = 0;
  auto stream = engine.submit(request);
  EXPECT_TRUE(stream) << stream.error().message;
  Answer answer;
  while (auto event = stream->next()) {
    if (const auto* end = std::get_if<AnswerEnd>(&*event)) answer.text += end->text;
    const auto* token = std::get_if<AnswerToken>(&*event);
    if (token == nullptr) continue;
    answer.ids.push_back(token->token.id);
    answer.logprobs.push_back(token->token.logprob);
    answer.text += token->text;
  }
  return answer;
}

class CInterface : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    ModelConfig config = small_mixtral();
    write("model.gguf", config, 3);
    config.n_layers = 1;
    write("small.gguf", config, 4);
    config.vocab_size = 500;
    write("other.gguf", config, 4);
    for (const size_t rank : {4, 8}) {
      const std::string lora = file(fmt::format("rank{}", rank));
      std::filesystem::create_directory(lora);
      TinyAdapter::random(small_mixtral(), rank, rank).write_peft(lora);
    }
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string file(const std::string& name) { return folder_->file(name); }
  static void write(const std::string& name, const ModelConfig& config, uint64_t seed) {
    const auto model = make_random_model({"test", config, *type_mix_from_name("Q4_K_M"), seed});
    ASSERT_TRUE(write_model(*model, ModelFormat::kGguf, file(name), {}, nullptr));
  }

  // With the adapters "low" and "high", and what `change` does to the options.
  static Refusal try_load(Owned<mixtral_engine>& engine,
                          const std::function<void(mixtral_engine_options&)>& change,
                          size_t size = sizeof(mixtral_engine_options)) {
    const std::array<const char*, 2> names = {"low", "high"};
    const std::array<std::string, 2> paths = {file("rank4"), file("rank8")};
    const std::array<const char*, 2> path_texts = {paths[0].c_str(), paths[1].c_str()};
    mixtral_engine_options options = {};
    options.context_len = 256;
    options.n_threads = 1;
    options.n_adapters = names.size();
    options.adapter_names = names.data();
    options.adapter_paths = path_texts.data();
    change(options);
    mixtral_engine* loaded = nullptr;
    mixtral_error* error = nullptr;
    const mixtral_status status =
        mixtral_engine_load(file("model.gguf").c_str(), &options, size, &loaded, &error);
    engine.reset(loaded);
    return take_refusal(status, error);
  }
  static Owned<mixtral_engine> load(const std::function<void(mixtral_engine_options&)>& change =
                                        [](auto&) {}) {
    Owned<mixtral_engine> engine;
    const Refusal refusal = try_load(engine, change);
    EXPECT_EQ(refusal.status, MIXTRAL_OK) << refusal.message;
    return engine;
  }
  static Refusal refusal_of(const std::function<void(mixtral_engine_options&)>& change) {
    Owned<mixtral_engine> engine;
    return try_load(engine, change);
  }

  static std::unique_ptr<Engine> load_in_cpp() {
    CpuBackendOptions cpu;
    cpu.n_threads = 1;
    EngineOptions options;
    options.context_len = 256;
    options.adapters = {{"low", file("rank4")}, {"high", file("rank8")}};
    auto engine = Engine::load(file("model.gguf"), *make_cpu_backend(cpu), options);
    EXPECT_TRUE(engine) << engine.error().message;
    return *std::move(engine);
  }

  static mixtral_stats stats_of(const mixtral_engine* engine) {
    mixtral_stats stats;
    EXPECT_EQ(mixtral_engine_stats(engine, &stats, sizeof(stats)), MIXTRAL_OK);
    return stats;
  }

  static inline std::unique_ptr<TemporaryFolder> folder_;
};

TEST_F(CInterface, AnswersThroughAdaptersAsTheEngineDoes) {
  const auto engine = load();
  const auto expected = load_in_cpp();
  const std::array<const char*, 3> adapters = {"", "low", "high"};
  std::vector<Answer> answers;
  for (const char* adapter : adapters) {
    answers.push_back(ask(engine.get(), adapter));
    EXPECT_EQ(answers.back(), ask(*expected, adapter)) << adapter;
    EXPECT_EQ(answers.back().ids.size(), kTokens) << adapter;
  }
  EXPECT_NE(answers[0].logprobs, answers[1].logprobs);
  EXPECT_NE(answers[1].logprobs, answers[2].logprobs);
}

TEST_F(CInterface, TakesTheDefaultAdapterWhereNoneIsNamed) {
  const auto engine = load([](auto& options) { options.default_adapter = "high"; });
  EXPECT_EQ(ask(engine.get(), ""), ask(*load_in_cpp(), "high"));
}

TEST_F(CInterface, SpeculationLeavesAnswersAsTheyAre) {
  const auto plain = load();
  const std::string small = file("small.gguf"), same = file("model.gguf");
  uint64_t n_drafted = 0;  // of all together: whether guessing pays is measured, and may not
  for (const char* draft_path : {"", small.c_str(), same.c_str()}) {
    const bool by_model = *draft_path != '\0';
    const auto engine = load([&](auto& options) {
      options.speculation = by_model ? MIXTRAL_SPECULATION_DRAFT : MIXTRAL_SPECULATION_NGRAM;
      options.draft_path = by_model ? draft_path : nullptr;
    });
    for (const char* adapter : {"", "low"}) {
      EXPECT_EQ(ask(engine.get(), adapter), ask(plain.get(), adapter)) << draft_path << adapter;
    }
    n_drafted += stats_of(engine.get()).n_drafted_tokens;
  }
  EXPECT_GT(n_drafted, 0u);
  EXPECT_EQ(stats_of(plain.get()).n_drafted_tokens, 0u);
}

TEST_F(CInterface, GuessesForRequestsThatWantItOnly) {
  const auto engine = load([](auto& options) { options.speculation = MIXTRAL_SPECULATION_NGRAM; });
  const auto request = make_request("");
  mixtral_request_set_speculate(request.get(), 0);
  EXPECT_EQ(ask(engine.get(), request.get()).ids.size(), kTokens);
  const mixtral_stats stats = stats_of(engine.get());
  EXPECT_EQ(stats.n_drafted_tokens, 0u);
  EXPECT_EQ(stats.n_generated_tokens, kTokens);
  EXPECT_EQ(stats.n_prompt_tokens, prompt().size());
}

#define EXPECT_REFUSED(refusal, expected, part)                              \
  {                                                                          \
    const Refusal found = refusal;                                           \
    EXPECT_EQ(found.status, expected) << found.message;                      \
    EXPECT_NE(found.message.find(part), std::string::npos) << found.message; \
  }

TEST_F(CInterface, NamesWrongOptions) {
  const std::array<const char*, 2> hole = {"low", nullptr}, twice = {"low", "low"};
  EXPECT_REFUSED(refusal_of([&](auto& o) { o.adapter_names = hole.data(); }), MIXTRAL_BAD_INPUT,
                 "adapter_names[1]");
  EXPECT_REFUSED(refusal_of([](auto& o) { o.adapter_paths = nullptr; }), MIXTRAL_BAD_INPUT,
                 "adapter_paths[0]");
  EXPECT_REFUSED(refusal_of([&](auto& o) { o.adapter_names = twice.data(); }), MIXTRAL_BAD_INPUT,
                 "'low'");
  EXPECT_REFUSED(refusal_of([&](auto& o) { o.adapter_paths = twice.data(); }), MIXTRAL_NOT_FOUND,
                 "low");
  EXPECT_REFUSED(refusal_of([](auto& o) { o.default_adapter = "none"; }), MIXTRAL_NOT_FOUND,
                 "none");
  EXPECT_REFUSED(refusal_of([](auto& o) { o.speculation = 3; }), MIXTRAL_BAD_INPUT,
                 "speculation is 3");
  EXPECT_REFUSED(refusal_of([](auto& o) { o.speculation = MIXTRAL_SPECULATION_DRAFT; }),
                 MIXTRAL_BAD_INPUT, "draft_path");
  const std::string other = file("other.gguf");
  EXPECT_REFUSED(refusal_of([&](auto& o) {
                   o.speculation = MIXTRAL_SPECULATION_DRAFT;
                   o.draft_path = other.c_str();
                 }),
                 MIXTRAL_BAD_INPUT, "500");
}

TEST_F(CInterface, FindsNoAdapterThatWasNotLoaded) {
  const auto engine = load();
  mixtral_stream* stream = nullptr;
  mixtral_error* error = nullptr;
  const auto status = mixtral_submit(engine.get(), make_request("other").get(), &stream, &error);
  EXPECT_EQ(stream, nullptr);
  EXPECT_REFUSED(take_refusal(status, error), MIXTRAL_NOT_FOUND, "'other'");
}

// Their structures end earlier than ours.
TEST_F(CInterface, ServesCallersOfEarlierVersions) {
  Owned<mixtral_engine> engine;
  const Refusal refusal = try_load(
      engine, [](auto& options) { options.speculation = 99; },
      offsetof(mixtral_engine_options, n_adapters));
  ASSERT_EQ(refusal.status, MIXTRAL_OK) << refusal.message;
  EXPECT_EQ(ask(engine.get(), ""), ask(*load_in_cpp(), ""));

  mixtral_stats stats;
  std::memset(&stats, 0xAB, sizeof(stats));
  const size_t known = offsetof(mixtral_stats, n_drafted_tokens);
  EXPECT_EQ(mixtral_engine_stats(engine.get(), &stats, known), MIXTRAL_OK);
  EXPECT_EQ(stats.n_generated_tokens, kTokens);
  EXPECT_EQ(stats.n_drafted_tokens, 0xABABABABABABABABu);
}

}  // namespace
}  // namespace mixtral::testing
