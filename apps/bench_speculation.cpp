#include "bench_speculation.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "prompt_ids.h"

namespace mixtral {
namespace {

constexpr std::string_view kText =
    R"(The mill at the bend of the river was older than the bridge, and the bridge was older than anyone
who crossed it. In spring the water rose to the third step, and the miller's daughter marked the
height with a nail, so that the door frame told of forty floods in iron. She could read it like a
book: here the year the cow swam home, here the year the priest came in a boat. When the engineers
arrived with their striped poles they asked her where they should build the wall. She showed them
the highest nail, then pointed to the hill behind the orchard. They laughed and built beside the
road. The next April she hammered in nail forty-one from the window of the upper floor, while the
striped poles went by, one after another, on their way to the sea.)";

struct Task {
  std::string name, prompt;
  float temperature;
};

// The text twice and its first line: what a model does then is to go on copying. The new text is
// drawn and not chosen, since the most probable one soon goes round in circles.
std::vector<Task> make_tasks() {
  const std::string text(kText);
  const std::string first_line = text.substr(0, text.find('\n'));
  return {{"copy", text + "\n\n" + text + "\n\n" + first_line, 0},
          {"plain", "A letter from the lighthouse keeper to his brother.\n\nDear Anton,", 1}};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Result<Generation> write(Engine& engine, const Task& task, const SpeculationTest& test,
                         uint64_t seed, bool speculate) {
  GenerateOptions options;
  options.max_tokens = test.n_tokens;
  options.ignore_end = true;
  options.sampling.temperature = task.temperature;
  options.sampling.seed = seed;
  options.speculate = speculate;
  const auto ids = encode_with_bos(task.prompt, *engine.tokenizer());
  return engine.generate(ids, options, [](const GeneratedToken&) {});
}

bool are_same(const Generation& a, const Generation& b) {
  const auto same = [](const SampledToken& x, const SampledToken& y) { return x.id == y.id; };
  return std::equal(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end(), same);
}

Result<SpeculationResult> measure(Engine& engine, const Task& task, const SpeculationTest& test) {
  MIXTRAL_TRY(write(engine, task, test, 0, true));  // does not count
  const EngineStats before = engine.stats();
  std::vector<double> without, with, ratios;
  for (size_t run = 0; run < test.n_repeats; ++run) {
    MIXTRAL_TRY(const Generation one, write(engine, task, test, run, run % 2 == 0));
    MIXTRAL_TRY(const Generation other, write(engine, task, test, run, run % 2 != 0));
    if (!are_same(one, other)) {
      return fail(ErrorCode::kDevice, "{}: another answer with speculation than without",
                  task.name);
    }
    const double first = one.timings.generate_tokens_per_second();
    const double second = other.timings.generate_tokens_per_second();
    with.push_back(run % 2 == 0 ? first : second);
    without.push_back(run % 2 == 0 ? second : first);
    ratios.push_back(with.back() / without.back());
  }
  const EngineStats after = engine.stats();
  return SpeculationResult{"",
                           task.name,
                           test.n_tokens,
                           median(without),
                           median(with),
                           median(ratios),
                           after.drafted_tokens - before.drafted_tokens,
                           after.accepted_draft_tokens - before.accepted_draft_tokens};
}

}  // namespace

Status measure_speculation(const SpeculationTest& test, const ModelOptions& options,
                           const AppContext& context, std::vector<SpeculationResult>& results) {
  ModelOptions with_room = options;
  with_room.context_len = 4096;  // for the text as bytes, too
  MIXTRAL_TRY(auto engine, load_engine(with_room, context));
  MIXTRAL_TRY(need_tokenizer(engine->tokenizer()));
  for (const Task& task : make_tasks()) {
    MIXTRAL_TRY(SpeculationResult result, measure(*engine, task, test));
    result.model = std::filesystem::path(engine->checkpoint().path()).filename().string();
    results.push_back(std::move(result));
  }
  return {};
}

Json speculation_json(const SpeculationResult& result) {
  return {{"model", result.model},
          {"task", result.task},
          {"n_tokens", result.n_tokens},
          {"tokens_per_second_without", result.without},
          {"tokens_per_second_with", result.with},
          {"ratio", result.ratio},
          {"drafted_tokens", result.n_drafted},
          {"accepted_draft_tokens", result.n_accepted}};
}

std::string speculation_text(const std::vector<SpeculationResult>& results) {
  std::string out;
  for (const SpeculationResult& result : results) {
    out += fmt::format(
        "{}, {} {}: {:.2f} tok/s without, {:.2f} with speculation, {:.2f} times; {} of {} guesses "
        "came true\n",
        result.model, result.task, result.n_tokens, result.without, result.with, result.ratio,
        result.n_accepted, result.n_drafted);
  }
  return out;
}

}  // namespace mixtral
