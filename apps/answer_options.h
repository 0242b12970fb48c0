// The options of commands that answer: how tokens are chosen and when the answer ends.
#pragma once

#include <string>

#include "engine/engine.h"

namespace CLI {
class App;
}

namespace mixtral {

struct AnswerOptions {
  /// Unlike the library, which leaves every token a chance, a person wants no nonsense by default.
  AnswerOptions() { generate.sampling.min_p = 0.05f; }

  GenerateOptions generate;
  bool greedy = false;
};

void add_answer_options(CLI::App& command, AnswerOptions& options);
/// The options in the engine's form.
GenerateOptions generate_options(const AnswerOptions& options);

/// "23 tokens, 41.2 tokens/s, first after 0.12 s", for standard error.
std::string timing_line(const Timings& timings);

}  // namespace mixtral
