// Low-rank adapters: the same as weights with the change added, each sequence with its own.
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "convert/make_model.h"
#include "convert/write_model.h"
#include "cpu/cpu_backend.h"
#include "engine/engine.h"
#include "support/adapter_files.h"
#include "support/golden.h"
#include "support/heard.h"
#include "support/model_runner.h"
#include "support/small_mixtral.h"
#include "support/tiny_checkpoint.h"

namespace mixtral::testing {
namespace {

// Two orders of float sums of a few hundred terms of size 1.
constexpr double kTolerance = 1e-4;

std::string make_folder(const TemporaryFolder& in, const std::string& name) {
  std::filesystem::create_directory(in.file(name));
  return in.file(name);
}

Result<std::unique_ptr<Engine>> load(const std::string& path, std::unique_ptr<Backend> backend,
                                     std::vector<AdapterOption> adapters = {},
                                     const std::string& default_adapter = "") {
  EngineOptions options;
  options.max_sequences = 8;
  options.chunk_tokens = 24;
  options.adapters = std::move(adapters);
  options.default_adapter = default_adapter;
  return Engine::load(path, std::move(backend), options);
}

std::vector<float> logits_of(Engine& engine, const std::vector<int32_t>& ids) {
  std::vector<float> all;
  const Status status = engine.score(ids, [&](size_t, std::span<const float> logits) -> Status {
    all.insert(all.end(), logits.begin(), logits.end());
    return {};
  });
  EXPECT_TRUE(status) << status.error().message;
  return all;
}

struct MergeCase {
  std::string name;
  bool experts = true, mistral = false;
  size_t rank = 3;
  std::string part = {};  // of the names of what is changed
  std::string dtype = "F32";
};

class MergedAdapter : public ::testing::TestWithParam<std::tuple<MergeCase, BackendCase>> {};

TEST_P(MergedAdapter, EqualsTheWeightsWithItsChanges) {
  const auto& [how, backend] = GetParam();
  const TemporaryFolder folder;
  TinyCheckpoint tiny = how.experts ? TinyCheckpoint::mixtral() : TinyCheckpoint::llama();
  const std::string base = make_folder(folder, "base"), merged = make_folder(folder, "merged");
  const std::string lora = make_folder(folder, "lora");
  tiny.write(base);
  const ModelConfig config = Checkpoint::open(base)->config();
  const TinyAdapter adapter = TinyAdapter::random(config, how.rank, 5, how.part);
  ASSERT_FALSE(adapter.changes.empty());
  adapter.merge_into(tiny.tensors);
  tiny.write(merged);
  if (how.mistral) {
    adapter.write_mistral(lora, config.head_dim);
  } else {
    adapter.write_peft(lora, how.dtype);
  }

  const auto plain = load(base, make_backend(backend));
  const auto expected = load(merged, make_backend(backend));
  const auto found = load(base, make_backend(backend), {{"lora", lora}}, "lora");
  ASSERT_TRUE(found) << found.error().message;
  const std::vector<int32_t> ids = {1, 5, 9, 2, 14, 7, 3, 3, 8, 11, 0, 6, 15, 4, 10, 12, 13,
                                    1, 5, 9, 2, 14, 7, 3, 3, 8, 11, 0, 6, 15, 4, 10, 12, 13};
  const auto expected_logits = logits_of(**expected, ids);
  EXPECT_LT(largest_difference(logits_of(**found, ids), expected_logits), kTolerance);
  EXPECT_GT(largest_difference(logits_of(**plain, ids), expected_logits), 10 * kTolerance);
}

const std::vector<MergeCase> kMergeCases = {
    {"peft"},
    {"mistral", true, true},
    {"dense_peft", false},
    {"dense_mistral", false, true, 2},
    {"wide_rank", true, false, 20},
    {"bf16", true, false, 3, "", "BF16"},
    {"f16", true, false, 3, "", "F16"},
    {"attention", true, false, 4, "self_attn"},
    {"queries_mistral", true, true, 4, "q_proj"},
    {"keys_peft", true, false, 4, "k_proj"},
    {"one_expert", true, false, 4, "experts.1."},
    {"down_only", true, false, 4, ".w2"},
    {"head", true, false, 4, "lm_head"},
};

std::string case_name(const ::testing::TestParamInfo<std::tuple<MergeCase, BackendCase>>& test) {
  const auto& [how, backend] = test.param;
  return how.name + "_" + backend.name;
}

INSTANTIATE_TEST_SUITE_P(Adapters, MergedAdapter,
                         ::testing::Combine(::testing::ValuesIn(kMergeCases),
                                            ::testing::ValuesIn(backend_cases(true))),
                         case_name);

Request make_request(size_t n_prompt, size_t n, const std::string& adapter) {
  Request request;
  for (size_t i = 0; i < n_prompt; ++i) {
    request.prompt_ids.push_back(static_cast<int32_t>((i * i + 3) * 7 % 541) + 3);
  }
  request.max_tokens = n;
  request.ignore_end = true;
  request.sampling.temperature = 0;
  request.sampling.n_logprobs = 3;
  request.adapter = adapter;
  return request;
}

class ManyAdapters : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto model =
        make_random_model({"test", small_mixtral(), *type_mix_from_name("Q4_K_M"), 3});
    ASSERT_TRUE(write_model(*model, ModelFormat::kGguf, path_, {}, nullptr));
    const auto add = [&](const std::string& name, size_t rank, const std::string& part) {
      const std::string lora = make_folder(folder_, name);
      TinyAdapter::random(small_mixtral(), rank, rank, part).write_peft(lora, "BF16");
      adapters_.push_back({name, lora});
    };
    add("all", 16, "");
    add("attention", 4, "self_attn");
    add("experts", 24, "experts.3.");
  }

  std::unique_ptr<Engine> load_with(const std::vector<AdapterOption>& adapters) {
    CpuBackendOptions cpu;
    cpu.n_threads = 2;
    auto engine = load(path_, std::move(*make_cpu_backend(cpu)), adapters);
    EXPECT_TRUE(engine) << engine.error().message;
    return *std::move(engine);
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_.file("model.gguf");
  std::vector<AdapterOption> adapters_;
};

TEST_F(ManyAdapters, GiveEachSequenceTheBitsThatItGetsAlone) {
  std::vector<Request> requests;
  for (const size_t n_prompt : {5, 60}) {
    for (const char* adapter : {"all", "", "experts", "attention"}) {
      requests.push_back(make_request(n_prompt, 20, adapter));
    }
  }
  std::vector<HeardAll> alone;
  for (const Request& request : requests) {
    const auto only = request.adapter.empty() ? load_with({}) : load_with(adapters_);
    alone.push_back(ask(*only, request));
  }
  const auto engine = load_with(adapters_);
  expect_same(ask_all(*engine, requests), alone);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_NE(alone[i].answers[0].logprobs, alone[0].answers[0].logprobs);
  }
}

TEST_F(ManyAdapters, ShareCachedPagesWithTheirLikeOnly) {
  const auto engine = load_with(adapters_);
  for (const char* adapter : {"", "all", "attention"}) {
    const Request request = make_request(70, 2, adapter);
    const HeardAll first = ask(*engine, request), second = ask(*engine, request);
    EXPECT_EQ(first.prompt->n_cached, 0u) << adapter;
    EXPECT_GT(second.prompt->n_cached, 0u) << adapter;
    expect_same(second.answers[0], first.answers[0]);
  }
  Request salted = make_request(70, 2, "");
  salted.cache_salt = "all";
  EXPECT_EQ(ask(*engine, salted).prompt->n_cached, 0u);
}

TEST_F(ManyAdapters, CountInThePlanAndHaveNames) {
  const auto engine = load_with(adapters_);
  EXPECT_EQ(engine->adapter_names(), (std::vector<std::string>{"all", "attention", "experts"}));
  const auto unknown = engine->submit(make_request(5, 2, "missing"));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_NE(unknown.error().message.find("missing"), std::string::npos);

  EngineOptions options;
  options.memory_limit_bytes = 1000;
  options.adapters = adapters_;
  const auto refused = Engine::load(path_, std::move(*make_cpu_backend({})), options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("adapters "), std::string::npos);

  options = {};
  options.adapters = {adapters_[0], adapters_[0]};
  EXPECT_FALSE(Engine::load(path_, std::move(*make_cpu_backend({})), options));
  options.adapters = {{"", adapters_[0].path}};
  EXPECT_FALSE(Engine::load(path_, std::move(*make_cpu_backend({})), options));
  options.adapters = {};
  options.default_adapter = "all";
  EXPECT_FALSE(Engine::load(path_, std::move(*make_cpu_backend({})), options));
}

// What a file with one thing wrong says of it.
class BadAdapter : public ::testing::Test {
 protected:
  void SetUp() override {
    TinyCheckpoint::mixtral().write(base_);
    config_ = Checkpoint::open(base_)->config();
    adapter_ = TinyAdapter::random(config_, 3, 5);
    tensors_ = adapter_.peft_tensors();
    settings_ = adapter_.peft_config();
  }

  std::string refusal() {
    write_text(lora_ + "/adapter_config.json", settings_.dump());
    write_tensors(lora_ + "/adapter_model.safetensors", tensors_);
    return refusal_of(lora_);
  }
  std::string refusal_of(const std::string& path) {
    const auto engine = load(base_, make_backend({"reference", true}), {{"lora", path}}, "lora");
    return engine ? "" : engine.error().message;
  }

  static constexpr const char* kQuery = "base_model.model.model.layers.0.self_attn.q_proj.lora_";

  TemporaryFolder folder_;
  const std::string base_ = make_folder(folder_, "base"), lora_ = make_folder(folder_, "lora");
  ModelConfig config_;
  TinyAdapter adapter_;
  std::map<std::string, TinyTensor> tensors_;
  Json settings_;
};

#define EXPECT_SAYS(message, ...)                                                           \
  for (const std::string& part : std::vector<std::string>{__VA_ARGS__}) {                   \
    EXPECT_NE((message).find(part), std::string::npos) << part << " not in: " << (message); \
  }

TEST_F(BadAdapter, GoodOneIsTaken) { EXPECT_EQ(refusal(), ""); }

TEST_F(BadAdapter, UnknownTensorIsNamed) {
  const std::string router = "base_model.model.model.layers.0.block_sparse_moe.gate.lora_A.weight";
  tensors_[router] = {{3, 8}, std::vector<float>(24)};
  EXPECT_SAYS(refusal(), router, "experts");
}

// As peft saves an adapter of the output, unless it is told not to.
TEST_F(BadAdapter, TheOutputsOwnWeightsMayStandBesideItsChange) {
  const std::string own = "base_model.model.lm_head.base_layer.weight";
  const size_t rows = config_.vocab_size, cols = config_.dim;
  tensors_[own] = {{rows, cols}, std::vector<float>(rows * cols)};
  EXPECT_EQ(refusal(), "");
  tensors_[own] = {{rows + 1, cols}, std::vector<float>((rows + 1) * cols)};
  EXPECT_SAYS(refusal(), own, fmt::format("expected [{}, {}]", rows, cols));
}

TEST_F(BadAdapter, LayerBeyondTheModelIsNamed) {
  auto node = tensors_.extract(std::string(kQuery) + "A.weight");
  node.key() = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight";
  tensors_.insert(std::move(node));
  EXPECT_SAYS(refusal(), "q_proj.lora_A.weight is missing");
}

TEST_F(BadAdapter, ShapesAreCheckedAgainstTheModel) {
  tensors_[std::string(kQuery) + "B.weight"] = {{12, 3}, std::vector<float>(36)};
  EXPECT_SAYS(refusal(), "q_proj.lora_B.weight", "[12, 3]", "[8, 3]");
}

TEST_F(BadAdapter, RankIsThatOfTheConfig) {
  settings_["r"] = 4;
  EXPECT_SAYS(refusal(), "lora_A.weight", "[3, ", "[4, ");
  for (const Json& bad : std::vector<Json>{0, -1, 2.5, "3", 1e9, nullptr}) {
    settings_["r"] = bad;
    EXPECT_SAYS(refusal(), "adapter_config.json", "r");
  }
}

TEST_F(BadAdapter, ValuesMustBeFinite) {
  tensors_[std::string(kQuery) + "A.weight"].values[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_SAYS(refusal(), "q_proj.lora_A.weight", "adapter_model.safetensors");
}

TEST_F(BadAdapter, SettingsThatTensorsDoNotShowAreRefused) {
  settings_["alpha_pattern"] = {{"q_proj", 4}};
  EXPECT_SAYS(refusal(), "alpha_pattern");
  settings_ = adapter_.peft_config();
  for (const char* name : {"pissa_niter_4", "OLoRA"}) {
    settings_["init_lora_weights"] = name;
    EXPECT_SAYS(refusal(), "init_lora_weights", name);
  }
  settings_ = adapter_.peft_config();
  settings_["peft_type"] = "IA3";
  EXPECT_SAYS(refusal(), "IA3", "LORA");
  settings_ = adapter_.peft_config();
  for (const double bad : {0.0, 1e39}) {  // more than a float holds
    settings_["lora_alpha"] = bad;
    EXPECT_SAYS(refusal(), "lora_alpha", "expected");
  }
}

TEST_F(BadAdapter, PicklesAndEmptyPlacesAreRefused) {
  EXPECT_SAYS(refusal_of(lora_), "adapter_model.safetensors", "lora.safetensors");
  write_text(lora_ + "/adapter_model.bin", "");
  EXPECT_SAYS(refusal_of(lora_), "pickle");
  EXPECT_SAYS(refusal_of(folder_.file("nowhere")), "nowhere");
  tensors_.clear();
  EXPECT_SAYS(refusal(), "no tensors");
}

}  // namespace
}  // namespace mixtral::testing
