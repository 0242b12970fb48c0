// Eight requests at once, each from a thread of its own:  ./many_requests MODEL
#include <array>
#include <iostream>
#include <thread>
#include <vector>

#include "cpu/cpu_backend.h"
#include "engine/engine.h"

constexpr std::array<const char*, 8> kPrompts = {
    "Once upon a time", "The sea is",   "In the morning",   "Two friends",
    "A small house",    "The old king", "Far in the north", "Once upon a night"};

struct Answer {
  std::string text;
  mixtral::FinishReason reason = mixtral::FinishReason::kError;
};

mixtral::Result<Answer> ask(mixtral::Engine& engine, const char* prompt) {
  const mixtral::Tokenizer& tokenizer = *engine.tokenizer();
  mixtral::Request request;
  request.prompt_ids = tokenizer.encode(prompt);
  if (tokenizer.adds_bos()) {
    request.prompt_ids.insert(request.prompt_ids.begin(), *tokenizer.bos_id());
  }
  request.max_tokens = 30;
  MIXTRAL_TRY(mixtral::Stream stream, engine.submit(std::move(request)));
  Answer answer;
  while (const auto event = stream.next()) {
    if (const auto* token = std::get_if<mixtral::AnswerToken>(&*event)) {
      answer.text += token->text;
    } else if (const auto* end = std::get_if<mixtral::AnswerEnd>(&*event)) {
      if (end->error) return tl::unexpected(*end->error);
      answer.reason = end->reason;
    }
  }
  return answer;
}

mixtral::Status run(const char* path) {
  MIXTRAL_TRY(auto backend, mixtral::make_cpu_backend({}));
  MIXTRAL_TRY(auto engine, mixtral::Engine::load(path, std::move(backend), {}));
  if (engine->tokenizer() == nullptr) {
    return mixtral::fail(mixtral::ErrorCode::kNotFound, "{}: no tokenizer", path);
  }
  std::array<mixtral::Result<Answer>, kPrompts.size()> answers;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    threads.emplace_back([&, i] { answers[i] = ask(*engine, kPrompts[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    MIXTRAL_TRY(const Answer answer, std::move(answers[i]));
    std::cout << kPrompts[i] << answer.text << " (" << mixtral::finish_reason_name(answer.reason)
              << ")\n";
  }
  const mixtral::EngineStats stats = engine->stats();
  std::cout << stats.step_rows << " tokens computed in " << stats.steps << " steps\n";
  return {};
}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: many_requests MODEL\n";
    return 2;
  }
  const auto status = run(argv[1]);
  if (!status) std::cerr << status.error().message << '\n';
  return status ? 0 : 1;
}
