#include "server/random_id.h"

#include <random>

namespace mixtral {

std::string random_id(std::string_view prefix, size_t n) {
  constexpr std::string_view kLetters =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::random_device source;
  std::uniform_int_distribution<size_t> any(0, kLetters.size() - 1);
  std::string id(prefix);
  for (size_t i = 0; i < n; ++i) id.push_back(kLetters[any(source)]);
  return id;
}

uint64_t random_seed() {
  std::random_device source;
  return (uint64_t{source()} << 32) | source();
}

}  // namespace mixtral
