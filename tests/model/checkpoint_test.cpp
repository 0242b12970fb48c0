#include "model/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "ops/reference.h"
#include "support/golden.h"
#include "support/model_runner.h"
#include "support/tiny_checkpoint.h"

namespace mixtral::testing {
namespace {

const std::vector<int32_t> kIds = {1, 5, 9, 3, 14, 2, 7};

std::vector<float> logits_of(const std::string& path) {
  auto runner = ModelRunner::load(path, make_reference_backend());
  EXPECT_TRUE(runner) << (runner ? "" : runner.error().message);
  return runner ? (*runner)->run(kIds, kIds.size()).logits : std::vector<float>();
}

std::vector<float> logits_of(const TinyCheckpoint& tiny, size_t n_shards = 1) {
  TemporaryFolder folder;
  tiny.write(folder.path(), n_shards);
  return logits_of(folder.path());
}

// The message that opening (or, if that works, loading) fails with; "" if nothing fails.
std::string failure_of(const TinyCheckpoint& tiny) {
  TemporaryFolder folder;
  tiny.write(folder.path());
  auto runner = ModelRunner::load(folder.path(), make_reference_backend());
  return runner ? "" : runner.error().message;
}

TEST(Checkpoint, ReadsShardsLikeOneFile) {
  const TinyCheckpoint tiny = TinyCheckpoint::mixtral();
  EXPECT_EQ(logits_of(tiny, 3), logits_of(tiny));
}

TEST(Checkpoint, ReadsFusedExpertsLikeSeparateOnes) {
  TinyCheckpoint fused = TinyCheckpoint::mixtral();
  fused.fuse_experts();
  EXPECT_EQ(logits_of(fused), logits_of(TinyCheckpoint::mixtral()));
}

TEST(Checkpoint, ReadsRopeThetaInEitherPlace) {
  TinyCheckpoint top = TinyCheckpoint::mixtral();
  top.config["rope_theta"] = 5000.0;
  TinyCheckpoint inside = TinyCheckpoint::mixtral();
  inside.config.erase("rope_theta");
  inside.config["rope_parameters"] = {{"rope_theta", 5000.0}, {"rope_type", "default"}};
  EXPECT_EQ(logits_of(inside), logits_of(top));
  EXPECT_NE(logits_of(top), logits_of(TinyCheckpoint::mixtral()));
}

TEST(Checkpoint, TakesHeadDimFromTheConfigOrTheDims) {
  TinyCheckpoint given = TinyCheckpoint::mixtral();
  given.config["head_dim"] = 4;
  TinyCheckpoint null = TinyCheckpoint::mixtral();
  null.config["head_dim"] = nullptr;
  EXPECT_EQ(logits_of(given), logits_of(TinyCheckpoint::mixtral()));
  EXPECT_EQ(logits_of(null), logits_of(TinyCheckpoint::mixtral()));
}

TEST(Checkpoint, TiesTheHeadToTheEmbedding) {
  TinyCheckpoint tied = TinyCheckpoint::llama();
  tied.tensors.erase("lm_head.weight");
  tied.config["tie_word_embeddings"] = true;
  TinyCheckpoint copied = TinyCheckpoint::llama();
  copied.tensors["lm_head.weight"] = copied.tensors["model.embed_tokens.weight"];
  EXPECT_EQ(logits_of(tied), logits_of(copied));
}

TEST(Checkpoint, HonoursANumberAsSlidingWindow) {
  TinyCheckpoint window = TinyCheckpoint::mixtral();
  window.config["sliding_window"] = 3;
  TinyCheckpoint null = TinyCheckpoint::mixtral();
  null.config["sliding_window"] = nullptr;
  const size_t seen_by_both = 3 * 16;
  const std::vector<float> all = logits_of(null), some = logits_of(window);
  EXPECT_TRUE(std::equal(all.begin(), all.begin() + seen_by_both, some.begin()));
  EXPECT_NE(all, some);
}

TEST(Checkpoint, IgnoresTheWindowOfEarlyMixtralCopiesWithAWarning) {
  TinyCheckpoint early = TinyCheckpoint::mixtral();
  early.config["sliding_window"] = 4096;
  early.config["max_position_embeddings"] = 32768;
  TemporaryFolder folder;
  early.write(folder.path());
  const auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->config().sliding_window, 0u);
  ASSERT_EQ(checkpoint->warnings().size(), 1u);
  EXPECT_NE(checkpoint->warnings()[0].find("sliding_window 4096"), std::string::npos);
}

TEST(Checkpoint, GivesRotaryRowsInInterleavedOrder) {
  const TinyCheckpoint tiny = TinyCheckpoint::mixtral();
  TemporaryFolder folder;
  tiny.write(folder.path());
  const auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto source = checkpoint->source({Role::kWq, 0});
  std::vector<float> rows(8 * 8);
  ASSERT_TRUE(source->read_rows(0, 0, 8, std::as_writable_bytes(std::span(rows))));
  const std::vector<float>& stored =
      tiny.tensors.at("model.layers.0.self_attn.q_proj.weight").values;
  const size_t expected[] = {0, 2, 1, 3,
                             4, 6, 5, 7};  // head_dim 4: half order (0 1 | 2 3), pairs 0-2, 1-3
  for (size_t r = 0; r < 8; ++r) {
    for (size_t c = 0; c < 8; ++c) EXPECT_EQ(rows[r * 8 + c], stored[expected[r] * 8 + c]) << r;
  }
  // Reading from the middle of a head gives the same rows.
  std::vector<float> part(3 * 8);
  ASSERT_TRUE(source->read_rows(0, 3, 3, std::as_writable_bytes(std::span(part))));
  EXPECT_TRUE(std::equal(part.begin(), part.end(), rows.begin() + 3 * 8));
}

TEST(Checkpoint, CountsParametersAsThePaperDoes) {
  ModelConfig config = {.dim = 4096,
                        .n_layers = 32,
                        .n_heads = 32,
                        .n_kv_heads = 8,
                        .head_dim = 128,
                        .hidden_dim = 14336,
                        .n_experts = 8,
                        .n_experts_per_token = 2,
                        .vocab_size = 32000,
                        .context_len = 32768};
  EXPECT_EQ(config.n_parameters(), 46'702'792'704u);
  EXPECT_EQ(config.n_active_parameters(), 12'879'925'248u);
}

struct BadCase {
  std::string name;
  std::function<void(TinyCheckpoint&)> break_it;
  std::vector<std::string> message_has;
};

class BadCheckpoint : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadCheckpoint, IsRefusedWithTheReason) {
  TinyCheckpoint tiny = TinyCheckpoint::mixtral();
  GetParam().break_it(tiny);
  const std::string message = failure_of(tiny);
  ASSERT_FALSE(message.empty());
  EXPECT_EQ(message.find('\n'), std::string::npos) << "one line";
  for (const std::string& part : GetParam().message_has) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

const std::string kW1 = "model.layers.0.block_sparse_moe.experts.1.w1.weight";
const std::string kQ = "model.layers.0.self_attn.q_proj.weight";

INSTANTIATE_TEST_SUITE_P(
    Model, BadCheckpoint,
    ::testing::Values(
        BadCase{"missing_tensor",
                [](TinyCheckpoint& tiny) { tiny.tensors.erase(kQ); },
                {"q_proj.weight", "missing", "wq of layer 0"}},
        BadCase{"missing_expert",
                [](TinyCheckpoint& tiny) { tiny.tensors.erase(kW1); },
                {"experts.1.w1.weight", "missing"}},
        BadCase{"wrong_shape",
                [](TinyCheckpoint& tiny) {
                  tiny.tensors[kQ].shape = {4, 16};
                },
                {"q_proj.weight", "[4, 16]", "[8, 8]"}},
        BadCase{"vocabulary_contradicts_embedding",
                [](TinyCheckpoint& tiny) { tiny.config["vocab_size"] = 17; },
                {"embed_tokens.weight", "[16, 8]", "[17, 8]"}},
        BadCase{"fewer_experts_than_stored",
                [](TinyCheckpoint& tiny) { tiny.config["num_local_experts"] = 2; },
                {"gate.weight", "[3, 8]", "[2, 8]"}},
        BadCase{"unknown_tensor",
                [](TinyCheckpoint& tiny) {
                  tiny.tensors["model.layers.1.self_attn.q_proj.weight"] = tiny.tensors[kQ];
                },
                {"model.layers.1.self_attn.q_proj.weight", "not part of the model", "layers: 1"}},
        BadCase{"nan_weight",
                [](TinyCheckpoint& tiny) { tiny.tensors[kQ].values[13] = NAN; },
                {"q_proj.weight", "row", "NaN"}},
        BadCase{"infinite_weight",
                [](TinyCheckpoint& tiny) { tiny.tensors[kW1].values[9] = INFINITY; },
                {"experts.1.w1.weight", "infinit"}},
        BadCase{"model_type",
                [](TinyCheckpoint& tiny) { tiny.config["model_type"] = "gpt2"; },
                {"model_type", "gpt2", "mixtral"}},
        BadCase{"rope_scaling",
                [](TinyCheckpoint& tiny) {
                  tiny.config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
                },
                {"rope", "linear", "default"}},
        BadCase{"activation",
                [](TinyCheckpoint& tiny) { tiny.config["hidden_act"] = "gelu"; },
                {"hidden_act", "gelu", "silu"}},
        BadCase{"missing_field",
                [](TinyCheckpoint& tiny) { tiny.config.erase("hidden_size"); },
                {"hidden_size", "missing"}},
        BadCase{"negative_field",
                [](TinyCheckpoint& tiny) { tiny.config["num_hidden_layers"] = -1; },
                {"num_hidden_layers", "-1"}},
        BadCase{"field_of_wrong_type",
                [](TinyCheckpoint& tiny) { tiny.config["vocab_size"] = "16"; },
                {"vocab_size", "16", "number"}},
        BadCase{"huge_layers",
                [](TinyCheckpoint& tiny) { tiny.config["num_hidden_layers"] = 1ull << 60; },
                {"number of layers"}},
        BadCase{"heads_do_not_divide",
                [](TinyCheckpoint& tiny) {
                  tiny.config["num_attention_heads"] = 3;
                  tiny.config["num_key_value_heads"] = 2;
                  tiny.config["head_dim"] = 4;
                },
                {"3 heads", "2 key-value heads"}},
        BadCase{"odd_head_dim",
                [](TinyCheckpoint& tiny) { tiny.config["head_dim"] = 3; },
                {"head dim", "3"}},
        BadCase{"more_chosen_than_experts",
                [](TinyCheckpoint& tiny) { tiny.config["num_experts_per_tok"] = 4; },
                {"experts per token", "4"}},
        BadCase{"attention_bias",
                [](TinyCheckpoint& tiny) { tiny.config["attention_bias"] = true; },
                {"attention_bias"}},
        BadCase{"config_is_a_list",
                [](TinyCheckpoint& tiny) { tiny.config = Json::array(); },
                {"config.json", "object"}}),
    [](const auto& test) { return test.param.name; });

TEST(Checkpoint, NamesTheExpertWhoseWeightIsNotFinite) {
  TinyCheckpoint tiny = TinyCheckpoint::mixtral();
  tiny.fuse_experts();
  tiny.tensors["model.layers.0.mlp.experts.down_proj"].values[1 * 8 * 12 + 5 * 12 + 3] = NAN;
  const std::string message = failure_of(tiny);
  EXPECT_NE(message.find("expert 1"), std::string::npos) << message;
  EXPECT_NE(message.find("row 5"), std::string::npos) << message;
}

TEST(Checkpoint, OpensEveryGoldenFormatWithTheSameConfig) {
  MIXTRAL_FIND_GOLDEN(hugging_face, "models/mixtral-tiny-f32");
  MIXTRAL_FIND_GOLDEN(mistral, "models/mixtral-tiny-f32-mistral");
  const auto a = Checkpoint::open(hugging_face), b = Checkpoint::open(mistral);
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b) << b.error().message;
  EXPECT_EQ(a->kind(), CheckpointKind::kHuggingFace);
  EXPECT_EQ(b->kind(), CheckpointKind::kMistral);
  EXPECT_EQ(a->config().n_parameters(), b->config().n_parameters());
  EXPECT_EQ(a->config().n_experts, 8u);
  EXPECT_EQ(a->architecture(), "mixtral");
}

}  // namespace
}  // namespace mixtral::testing
