// Answers that are held to a grammar, through the whole engine.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "convert/make_model.h"
#include "convert/write_model.h"
#include "cpu/cpu_backend.h"
#include "engine/engine.h"
#include "grammar/grammar.h"
#include "support/golden.h"
#include "support/heard.h"
#include "support/small_mixtral.h"

namespace mixtral::testing {
namespace {

class ConstrainedAnswers : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const TemporaryFolder folder;
    const auto model =
        make_random_model({"test", small_mixtral(), *type_mix_from_name("Q4_K_M"), 3});
    const std::string path = folder.file("model.gguf");
    ASSERT_TRUE(write_model(*model, ModelFormat::kGguf, path, {}, nullptr));
    CpuBackendOptions cpu;
    cpu.n_threads = 2;
    auto engine = Engine::load(path, std::move(*make_cpu_backend(cpu)), {});
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = *std::move(engine);
  }
  static void TearDownTestSuite() { engine_.reset(); }

  // A random model says anything; hot, it also says unlikely things.
  static Request request_for(const Result<Grammar::Pointer>& grammar, uint64_t seed) {
    EXPECT_TRUE(grammar) << grammar.error().message;
    Request request;
    request.prompt_ids = {1, 70, 71, 72};
    request.max_tokens = 400;
    request.sampling.temperature = 1.5;
    request.sampling.seed = seed;
    request.grammar = *grammar;
    return request;
  }

  static inline std::unique_ptr<Engine> engine_;
};

TEST_F(ConstrainedAnswers, MatchTheirGrammarsSideBySide) {
  const char* schema = R"({"type": "object", "properties": {"a": {"type": "integer"},
                           "b": {"enum": ["x", "y"]}}, "required": ["a", "b"],
                           "additionalProperties": false})";
  std::vector<Request> requests;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    requests.push_back(request_for(Grammar::json_schema(schema), seed));
    requests.push_back(request_for(Grammar::choice(std::vector<std::string>{"yes", "no"}), seed));
  }
  const auto all = ask_all(*engine_, requests);
  for (size_t i = 0; i < all.size(); i += 2) {
    const Heard& answer = all[i].answers[0];
    ASSERT_TRUE(answer.end);
    if (answer.end->reason == FinishReason::kLength) continue;  // in the middle of a long number
    EXPECT_EQ(answer.end->reason, FinishReason::kStop);
    const auto value = nlohmann::json::parse(answer.text, nullptr, false);
    ASSERT_TRUE(value.is_object()) << answer.text;
    EXPECT_TRUE(value.at("a").is_number_integer());
    EXPECT_TRUE(value.at("b") == "x" || value.at("b") == "y");
  }
  for (size_t i = 1; i < all.size(); i += 2) {
    const Heard& answer = all[i].answers[0];
    EXPECT_TRUE(answer.text == "yes" || answer.text == "no") << answer.text;
    EXPECT_EQ(answer.end->reason, FinishReason::kStop);
  }
}

TEST_F(ConstrainedAnswers, OfOneRequestAreEachHeldToTheGrammar) {
  Request request = request_for(Grammar::regex("[ab]{3}c"), 5);
  request.n_answers = 3;
  for (const Heard& answer : ask(*engine_, request).answers) {
    EXPECT_EQ(answer.text.size(), 4u);
    EXPECT_EQ(answer.text.back(), 'c');
  }
}

// A text that is complete ends, whatever min_tokens and ignore_end say; one that may go on does.
TEST_F(ConstrainedAnswers, GoOnAsLongAsTheGrammarLetsThem) {
  Request fixed = request_for(Grammar::choice(std::vector<std::string>{"yes"}), 1);
  fixed.min_tokens = 50;
  fixed.ignore_end = true;
  EXPECT_EQ(ask(*engine_, fixed).answers[0].text, "yes");

  Request open = request_for(Grammar::regex("a+"), 1);
  open.min_tokens = 20;
  open.max_tokens = 60;
  EXPECT_GE(ask(*engine_, open).answers[0].end->n_tokens, 20u);
}

TEST_F(ConstrainedAnswers, DropTheBlankThatChatAnswersBeginWith) {
  Request request = request_for(Grammar::choice(std::vector<std::string>{"yes", "no"}), 2);
  request.strip_leading_space = true;
  const std::string text = ask(*engine_, request).answers[0].text;
  EXPECT_TRUE(text == "yes" || text == "no") << text;
}

}  // namespace
}  // namespace mixtral::testing
