#include "answer_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "io/quoted.h"

namespace mixtral {
namespace {

template <class T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

Result<std::pair<int32_t, float>> parse_bias(std::string_view text) {
  const size_t equals = text.find('=');
  std::pair<int32_t, float> bias;
  if (equals != std::string_view::npos && parse_number(text.substr(0, equals), bias.first) &&
      parse_number(text.substr(equals + 1), bias.second)) {
    return bias;
  }
  return fail(ErrorCode::kBadInput, "--logit-bias: {}, expected ID=B, as in 13=-2.5",
              in_quotes(text));
}

}  // namespace

void add_answer_options(CLI::App& command, AnswerOptions& options) {
  SamplingOptions& sampling = options.generate.sampling;
  const auto add = [&](const char* name, auto& value, const char* description) {
    command.add_option(name, value, description)->capture_default_str()->group("Choosing tokens");
  };
  command.add_flag("--greedy", options.greedy, "Always the most probable token")
      ->group("Choosing tokens");
  add("--temperature", sampling.temperature, "Below 1 surer, above 1 bolder; 0 is --greedy");
  add("--top-k", sampling.top_k, "Only the K most probable tokens; 0: off");
  add("--top-p", sampling.top_p, "Only the most probable tokens that reach P together; 1: off");
  add("--min-p", sampling.min_p, "Only tokens at least P times as probable as the best; 0: off");
  add("--repetition-penalty", sampling.repetition_penalty,
      "Weakens tokens of prompt and answer; 1: off");
  add("--frequency-penalty", sampling.frequency_penalty,
      "Weakens tokens of the answer by how often they came");
  add("--presence-penalty", sampling.presence_penalty, "Weakens tokens that the answer has");
  command
      .add_option("--logit-bias", options.logit_bias,
                  "ID=B adds B to the logit of token ID; may be repeated")
      ->group("Choosing tokens");
  add("--seed", sampling.seed, "The same seed gives the same answer");
  command
      .add_option("-n,--max-tokens", options.generate.max_tokens,
                  "Tokens of an answer at most (default: as the context allows)")
      ->check(CLI::PositiveNumber)
      ->group("Ending");
  command
      .add_option("--stop", options.generate.stop,
                  "The answer ends before this text; may be repeated")
      ->group("Ending");
}

Result<GenerateOptions> generate_options(const AnswerOptions& options) {
  GenerateOptions generate = options.generate;
  if (options.greedy) generate.sampling.temperature = 0;
  for (const std::string& text : options.logit_bias) {
    MIXTRAL_TRY(const auto bias, parse_bias(text));
    generate.sampling.logit_bias.push_back(bias);
  }
  return generate;
}

std::string timing_line(const Timings& timings) {
  return fmt::format("{} tokens, {:.1f} tokens/s, first after {:.2f} s", timings.generated_tokens,
                     timings.generate_tokens_per_second(), timings.prompt_seconds);
}

}  // namespace mixtral
