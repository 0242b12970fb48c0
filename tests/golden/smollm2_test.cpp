// The default model, a real one: SmolLM2-135M-Instruct as a mixture of experts computes what
// transformers computes for the dense original.
#include <gtest/gtest.h>

#include <algorithm>

#include "io/json.h"
#include "support/golden.h"
#include "support/model_runner.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace mixtral::testing {
namespace {

struct SmolCase {
  BackendCase backend;
  double safe_gap;       // distance of the two best logits above which the best token must agree
  double nll_tolerance;  // absolute for the reference, relative for the fast kernels
};

class DefaultModel : public ::testing::TestWithParam<SmolCase> {
 protected:
  void SetUp() override {
    const auto model = find_default_model();
    const auto golden = find_golden("smollm2/golden.json");
    if (!model || !golden) {
      GTEST_SKIP()
          << "no default model (./run.sh prepares it) or no golden data smollm2/golden.json";
    }
    auto json = read_json_file(*golden, 16 << 20);
    ASSERT_TRUE(json) << json.error().message;
    golden_ = *std::move(json);
    auto tokenizer = Tokenizer::load(*model);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    tokenizer_ = *std::move(tokenizer);
    auto runner = ModelRunner::load(*model, make_backend(GetParam().backend));
    ASSERT_TRUE(runner) << runner.error().message;
    runner_ = *std::move(runner);
  }

  Json golden_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ModelRunner> runner_;
};

TEST_P(DefaultModel, KeepsTheLikelihoodOfTexts) {
  for (const Json& text : golden_.at("texts")) {
    const auto ids = text.at("ids").get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer_->encode(text.at("text").get<std::string>(), SpecialText::kParse), ids);
    const auto logits = runner_->run(ids, ids.size()).logits;
    const double expected = text.at("nll_mean").get<double>();
    const double tolerance = GetParam().backend.reference ? GetParam().nll_tolerance
                                                          : GetParam().nll_tolerance * expected;
    EXPECT_NEAR(mean_nll(logits, ids, runner_->config().vocab_size), expected, tolerance);
  }
}

// Reading the golden answer and predicting each of its tokens is greedy decoding, as long as all
// agree.
TEST_P(DefaultModel, GivesTheGreedyAnswersOfTransformers) {
  for (const Json& chat : golden_.at("chats")) {
    std::vector<ChatMessage> messages;
    for (const Json& message : chat.at("messages")) {
      messages.push_back({message.at("role"), message.at("content")});
    }
    const auto rendered = ChatTemplate(ChatFormat::kChatMl, *tokenizer_).render(messages);
    ASSERT_TRUE(rendered) << rendered.error().message;
    EXPECT_EQ(rendered->text, chat.at("rendered").get<std::string>());
    auto ids = chat.at("ids").get<std::vector<int32_t>>();
    EXPECT_EQ(rendered->ids, ids);

    const auto answer = chat.at("greedy_ids").get<std::vector<int32_t>>();
    const auto gaps = chat.at("top2_logit_gap").get<std::vector<double>>();
    const size_t prompt = ids.size(), vocab = runner_->config().vocab_size;
    ids.insert(ids.end(), answer.begin(), answer.end() - 1);
    const auto logits = runner_->run(ids, ids.size()).logits;
    size_t compared = 0;
    for (size_t i = 0; i < answer.size() && gaps[i] >= GetParam().safe_gap; ++i, ++compared) {
      const float* row = logits.data() + (prompt + i - 1) * vocab;
      EXPECT_EQ(std::max_element(row, row + vocab) - row, answer[i])
          << "token " << i << " of the answer";
    }
    RecordProperty("compared_tokens", static_cast<int>(compared));
  }
}

std::vector<SmolCase> smol_cases() {
  std::vector<SmolCase> cases = {{{"reference", true}, 0.05, 1e-3}};
  for (const BackendCase& backend : backend_cases(false)) {
    // Plain scalar code over 135 million parameters takes minutes; the kernel tests compare it bit
    // by bit.
    if (!backend.reference && backend.isa != Isa::kScalar) cases.push_back({backend, 0.5, 0.01});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Golden, DefaultModel, ::testing::ValuesIn(smol_cases()),
                         [](const auto& test) { return test.param.backend.name; });

}  // namespace
}  // namespace mixtral::testing
