// Answers one question with a chat model:  ./answer MODEL "Why is the sky blue?"
#include <iostream>

#include "cpu/cpu_backend.h"
#include "engine/engine.h"
#include "text/chat_template.h"

namespace {

mixtral::Status answer(const std::string& path, const std::string& question) {
  MIXTRAL_TRY(auto backend, mixtral::make_cpu_backend({}));
  MIXTRAL_TRY(auto engine, mixtral::Engine::load(path, std::move(backend), {}));
  if (engine->tokenizer() == nullptr) {
    return mixtral::fail(mixtral::ErrorCode::kNotFound, "{}: has no tokenizer", path);
  }
  MIXTRAL_TRY(const auto format, mixtral::detect_chat_format(*engine->tokenizer()));
  const mixtral::ChatMessage messages[] = {{"user", question}};
  const mixtral::ChatTemplate chat_template(format, *engine->tokenizer());
  MIXTRAL_TRY(const auto prompt, chat_template.render(messages));

  mixtral::GenerateOptions options;
  options.max_tokens = 200;
  options.strip_leading_space = prompt.strip_leading_space;
  const auto print = [](const auto& token) { std::cout << token.text << std::flush; };
  MIXTRAL_TRY(const auto generation, engine->generate(prompt.ids, options, print));
  std::cout << "\n(" << generation.tokens.size() << " tokens)\n";
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: answer MODEL QUESTION\n";
    return 2;
  }
  if (const auto status = answer(argv[1], argv[2]); !status) {
    std::cerr << status.error().message << '\n';
    return 1;
  }
}
