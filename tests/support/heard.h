// What streams say, collected: tests of the engine compare whole answers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace mixtral::testing {

/// Everything that one answer said.
struct Heard {
  std::vector<int32_t> ids;
  std::vector<double> logprobs;  ///< each token's, then those of its alternatives
  std::string text;
  std::vector<uint64_t> steps;  ///< of each token
  std::vector<TokenRouting> routing;
  std::optional<AnswerEnd> end;
};

/// What one request gave.
struct HeardAll {
  std::optional<PromptRead> prompt;
  std::vector<Heard> answers;
};

/// Waits for the end of all answers; nothing may come after the end of one.
HeardAll listen(Stream& stream, size_t n_answers = 1);

/// Expects the request to be accepted.
Stream submit(Engine& engine, Request request);
HeardAll ask(Engine& engine, Request request);
/// All at once.
std::vector<HeardAll> ask_all(Engine& engine, const std::vector<Request>& requests);

/// Expects the same ids and log-probabilities, bit for bit.
void expect_same(const Heard& found, const Heard& expected);
/// The same of every answer.
void expect_same(const std::vector<HeardAll>& found, const std::vector<HeardAll>& expected);

}  // namespace mixtral::testing
