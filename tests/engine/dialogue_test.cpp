// A dialogue that goes on: of its next prompt only the new turn is computed, in every chat format.
#include <gtest/gtest.h>

#include <filesystem>

#include "convert/make_model.h"
#include "convert/write_model.h"
#include "cpu/cpu_backend.h"
#include "engine/engine.h"
#include "grammar/grammar.h"
#include "support/golden.h"
#include "support/heard.h"
#include "text/chat_template.h"

namespace mixtral::testing {
namespace {

constexpr size_t kAnswerDigits = 40;

// A small model with a real vocabulary: a folder whose own tokenizer gives way to that of `files`.
std::unique_ptr<Engine> load_with_vocabulary(const TemporaryFolder& folder, size_t vocab_size,
                                             const std::vector<std::string>& files) {
  const ModelConfig config = {.dim = 64,
                              .n_layers = 1,
                              .n_heads = 2,
                              .n_kv_heads = 1,
                              .head_dim = 32,
                              .hidden_dim = 64,
                              .n_experts = 2,
                              .n_experts_per_token = 1,
                              .vocab_size = vocab_size,
                              .context_len = 256,
                              .rope_theta = 1e4};
  const auto model = make_random_model({"test", config, *type_mix_from_name("BF16"), 3});
  EXPECT_TRUE(model) << model.error().message;
  const std::string path = folder.file("model");
  EXPECT_TRUE(write_model(*model, ModelFormat::kHuggingFace, path, {}, nullptr));
  std::filesystem::remove(path + "/tokenizer.json");
  std::filesystem::remove(path + "/tokenizer_config.json");
  for (const std::string& file : files) {
    std::filesystem::copy_file(file, path + "/" + std::filesystem::path(file).filename().string());
  }
  CpuBackendOptions cpu;
  cpu.n_threads = 1;
  EngineOptions options;
  options.max_sequences = 2;
  auto engine = Engine::load(path, std::move(*make_cpu_backend(cpu)), options);
  EXPECT_TRUE(engine) << engine.error().message;
  return *std::move(engine);
}

HeardAll ask(Engine& engine, const RenderedChat& chat, std::string_view salt) {
  Request request;
  request.cache_salt = salt;
  request.prompt_ids = chat.ids;
  request.strip_leading_space = chat.strip_leading_space;
  request.sampling.temperature = 1;
  request.sampling.seed = 7;
  // Random models do not spell as tokenizers do. Digits leave no choice, without the byte pieces
  // and with the blank that answers of SentencePiece models begin with.
  const bool is_sentencepiece = engine.tokenizer()->vocab_size() == 32000;
  if (is_sentencepiece) {
    for (int32_t id = 3; id < 259; ++id) request.sampling.logit_bias.emplace_back(id, -1000.0f);
    request.sampling.logit_bias.emplace_back(engine.tokenizer()->encode("1")[0], 1000.0f);
  }
  request.grammar = *Grammar::regex("[0-9]{" + std::to_string(kAnswerDigits) + "}");
  HeardAll heard = testing::ask(engine, std::move(request));
  EXPECT_EQ(heard.answers[0].text.size(), kAnswerDigits) << heard.answers[0].text;
  return heard;
}

void expect_only_new_turns_are_read(Engine& engine, ChatFormat format) {
  SCOPED_TRACE(chat_format_name(format));
  const ChatTemplate chat_template(format, *engine.tokenizer());
  std::vector<ChatMessage> messages = {{"system", "Be short."}, {"user", "Count, please."}};
  std::vector<int32_t> known;  // everything that was computed so far
  for (int turn = 0; turn < 3; ++turn) {
    const auto chat = chat_template.render(messages);
    ASSERT_TRUE(chat) << chat.error().message;
    ASSERT_GT(chat->ids.size(), known.size());
    EXPECT_TRUE(std::equal(known.begin(), known.end(), chat->ids.begin()));
    const HeardAll heard = ask(engine, *chat, chat_format_name(format));
    ASSERT_TRUE(heard.prompt);
    EXPECT_EQ(heard.prompt->n_cached, known.size()) << "turn " << turn;
    known = chat->ids;
    // The last token was drawn, but no step has read it.
    const Heard& said = heard.answers[0];
    known.insert(known.end(), said.ids.begin(), said.ids.end() - 1);
    messages.push_back({"assistant", said.text});
    messages.push_back({"user", "And now?"});
  }
}

TEST(Dialogue, ReadsOnlyTheNewTurnInFormatsOfSentencePiece) {
  MIXTRAL_FIND_GOLDEN(vocabulary, "tokenizer/tokenizer.model");
  const TemporaryFolder folder;
  const auto engine = load_with_vocabulary(folder, 32000, {vocabulary});
  expect_only_new_turns_are_read(*engine, ChatFormat::kMistral);
  expect_only_new_turns_are_read(*engine, ChatFormat::kLlama2);
}

TEST(Dialogue, ReadsOnlyTheNewTurnInChatMl) {
  MIXTRAL_FIND_GOLDEN(vocabulary, "smollm2/tokenizer.json");
  MIXTRAL_FIND_GOLDEN(settings, "smollm2/tokenizer_config.json");
  const TemporaryFolder folder;
  const auto engine = load_with_vocabulary(folder, 49152, {vocabulary, settings});
  expect_only_new_turns_are_read(*engine, ChatFormat::kChatMl);
}

}  // namespace
}  // namespace mixtral::testing
