// Continues a text with a model:  ./complete MODEL "Once upon a time"
#include <iostream>

#include "cpu/cpu_backend.h"
#include "engine/engine.h"

mixtral::Status complete(const char* path, const char* text) {
  MIXTRAL_TRY(auto backend, mixtral::make_cpu_backend({}));
  MIXTRAL_TRY(auto engine, mixtral::Engine::load(path, std::move(backend), {}));
  const mixtral::Tokenizer* tokenizer = engine->tokenizer();
  if (tokenizer == nullptr) {
    return mixtral::fail(mixtral::ErrorCode::kNotFound, "{}: no tokenizer", path);
  }
  std::vector<int32_t> ids = tokenizer->encode(text);
  if (tokenizer->adds_bos()) ids.insert(ids.begin(), *tokenizer->bos_id());
  mixtral::GenerateOptions options;
  options.max_tokens = 50;
  const auto print = [](const auto& token) { std::cout << token.text << std::flush; };
  MIXTRAL_TRY(const auto generation, engine->generate(ids, options, print));
  std::cout << "\n(" << generation.tokens.size() << " tokens)\n";
  return {};
}

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: complete MODEL TEXT\n";
    return 2;
  }
  const auto status = complete(argv[1], argv[2]);
  if (!status) std::cerr << status.error().message << '\n';
  return status ? 0 : 1;
}
