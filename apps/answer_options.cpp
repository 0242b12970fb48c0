#include "answer_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>

#include "io/quoted.h"
#include "number_option.h"
#include "terminal.h"

namespace mixtral {
namespace {

std::pair<int32_t, float> parse_bias(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals != std::string_view::npos) {
    const auto id = parse_number<int32_t>(text.substr(0, equals));
    const auto bias = parse_number<float>(text.substr(equals + 1));
    if (id && bias && std::fabs(*bias) <= 1000) return {*id, *bias};
  }
  throw CLI::ValidationError(
      "--logit-bias",
      fmt::format("{}, expected ID=B with B from -1000 to 1000, as in 13=-2.5", in_quotes(text)));
}

void add_choosing_options(CLI::App& command, AnswerOptions& options) {
  SamplingOptions& sampling = options.generate.sampling;
  const auto add = [&](const char* name, auto& value, auto range, const char* description) {
    add_shown_number_option(command, name, value, description, range)->group("Choosing tokens");
  };
  using Floats = NumberRange<float>;
  command.add_flag("--greedy", options.greedy, "Always the most probable token")
      ->group("Choosing tokens");
  add("--temperature", sampling.temperature, Floats{.smallest = 0},
      "Below 1 surer, above 1 bolder; 0 is --greedy");
  add("--top-k", sampling.top_k, NumberRange<size_t>{}, "Only the K most probable tokens; 0: off");
  add("--top-p", sampling.top_p, Floats{.smallest = 0, .largest = 1, .without_smallest = true},
      "Only the most probable tokens that reach P together; 1: off");
  add("--min-p", sampling.min_p, Floats{.smallest = 0, .largest = 1, .without_largest = true},
      "Only tokens at least P times as probable as the best; 0: off");
  add("--repetition-penalty", sampling.repetition_penalty,
      Floats{.smallest = 0, .without_smallest = true},
      "Weakens tokens of prompt and answer; 1: off");
  add("--frequency-penalty", sampling.frequency_penalty, Floats{.smallest = -2, .largest = 2},
      "Weakens tokens of the answer by how often they came");
  add("--presence-penalty", sampling.presence_penalty, Floats{.smallest = -2, .largest = 2},
      "Weakens tokens that the answer has");
  command
      .add_option_function<std::vector<std::string>>(
          "--logit-bias",
          [&sampling](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) sampling.logit_bias.push_back(parse_bias(text));
          },
          "ID=B adds B to the logit of token ID; may be repeated")
      ->allow_extra_args(false)
      ->group("Choosing tokens");
  add("--seed", sampling.seed, NumberRange<uint64_t>{}, "The same seed gives the same answer");
}

}  // namespace

void add_answer_options(CLI::App& command, AnswerOptions& options) {
  add_choosing_options(command, options);
  add_number_option<size_t>(command, "-n,--max-tokens", options.generate.max_tokens,
                            "Tokens of an answer at most (default: as the context allows)",
                            {.smallest = 1})
      ->group("Ending");
  command
      .add_option("--stop", options.generate.stop,
                  "The answer ends before this text; may be repeated")
      ->allow_extra_args(false)
      ->check(not_empty)
      ->group("Ending");
}

GenerateOptions generate_options(const AnswerOptions& options) {
  GenerateOptions generate = options.generate;
  if (options.greedy) generate.sampling.temperature = 0;
  return generate;
}

std::string timing_line(const Timings& timings) {
  return fmt::format("{}, {:.1f} tokens/s, first after {:.2f} s",
                     counted(timings.generated_tokens, "token"),
                     timings.generate_tokens_per_second(), timings.prompt_seconds);
}

}  // namespace mixtral
