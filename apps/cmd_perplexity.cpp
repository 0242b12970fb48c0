// `mixtral perplexity`: how well a model predicts a text, and how far it is from another model.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "app_context.h"
#include "commands.h"
#include "eval/base_file.h"
#include "eval/kl_divergence.h"
#include "eval/perplexity.h"
#include "model_options.h"
#include "number_option.h"
#include "terminal.h"
#include "text_windows.h"

namespace mixtral {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  ModelOptions model;
  WindowOptions windows;
  std::string text_file, base_file, save_base_file;
  bool json = false;
};

struct Findings {
  Perplexity perplexity;
  std::optional<KlDivergence> kl;
  size_t n_windows = 0;
};

std::string text_of(const Estimate& estimate, int digits) {
  return fmt::format("{:.{}f} ± {:.{}f}", estimate.value, digits, estimate.error, digits);
}

std::string report(const Findings& findings, size_t window_tokens) {
  const Perplexity& p = findings.perplexity;
  std::string text = fmt::format("perplexity        {}\n", text_of(p.perplexity(), 4));
  text += fmt::format("mean NLL          {}\n", text_of(p.nll(), 5));
  if (p.n_bytes() > 0) text += fmt::format("bits per byte     {:.4f}\n", p.bits_per_byte());
  text += fmt::format("tokens scored     {} in {} of {}\n", p.n_tokens(),
                      counted(findings.n_windows, "window"), window_tokens);
  if (!findings.kl) return text;
  const KlDivergence& kl = *findings.kl;
  const Estimate same = kl.same_top();
  text += fmt::format("base's NLL        {}\n", text_of(kl.base_nll(), 5));
  text += fmt::format("NLL less base's   {}\n", text_of(kl.nll_difference(), 5));
  text += fmt::format("KL divergence     {}\n", text_of(kl.mean(), 6));
  text += fmt::format("  median          {:.6f}\n", kl.quantile(0.5));
  text += fmt::format("  99 %            {:.6f}\n", kl.quantile(0.99));
  text += fmt::format("  largest         {:.6f}\n", kl.quantile(1));
  return text +
         fmt::format("same top token    {} %\n", text_of({100 * same.value, 100 * same.error}, 2));
}

Json json_of(const Findings& findings, size_t window_tokens) {
  const Perplexity& p = findings.perplexity;
  Json json = {{"perplexity", p.perplexity().value},
               {"perplexity_error", p.perplexity().error},
               {"nll", p.nll().value},
               {"nll_error", p.nll().error},
               {"bits_per_byte", nullptr},
               {"tokens", p.n_tokens()},
               {"bytes", p.n_bytes()},
               {"windows", findings.n_windows},
               {"window_tokens", window_tokens}};
  if (p.n_bytes() > 0) json["bits_per_byte"] = p.bits_per_byte();
  if (findings.kl) {
    const KlDivergence& kl = *findings.kl;
    json["kl"] = {{"mean", kl.mean().value},
                  {"error", kl.mean().error},
                  {"median", kl.quantile(0.5)},
                  {"percentile_99", kl.quantile(0.99)},
                  {"max", kl.quantile(1)},
                  {"same_top", kl.same_top().value},
                  {"same_top_error", kl.same_top().error},
                  {"base_nll", kl.base_nll().value},
                  {"nll_difference", kl.nll_difference().value},
                  {"nll_difference_error", kl.nll_difference().error}};
  }
  return json;
}

Result<Findings> measure(const Arguments& arguments, Engine& engine, const Windows& windows,
                         BaseFile* base, Progress* progress) {
  Findings findings;
  findings.n_windows = windows.size();
  std::optional<BaseFileWriter> writer;
  if (!arguments.save_base_file.empty()) {
    MIXTRAL_TRY(BaseFileWriter created, BaseFileWriter::create(arguments.save_base_file, windows,
                                                               engine.model().config().vocab_size));
    writer.emplace(std::move(created));
  }
  if (base != nullptr) findings.kl.emplace();
  const Tokenizer* tokenizer = engine.tokenizer();
  const auto add = [&](const ScoredToken& token) -> Status {
    if (base != nullptr) {
      MIXTRAL_TRY(const auto log_probs, base->log_probs(findings.perplexity.n_tokens()));
      findings.kl->add(token.id, log_probs, token.logits);
    }
    findings.perplexity.add(token,
                            tokenizer == nullptr ? 0 : tokenizer->token_bytes(token.id).size());
    return writer ? writer->write(token.logits) : Status();
  };
  MIXTRAL_TRY(score_windows(engine, windows, add, progress));
  if (writer) MIXTRAL_TRY(writer->finish());
  return findings;
}

Status run(Arguments arguments, const AppContext& context) {
  std::optional<BaseFile> base;
  if (!arguments.base_file.empty()) {
    MIXTRAL_TRY(base, as_input(BaseFile::open(arguments.base_file)));
    arguments.windows.context = base->window_tokens();
  }
  if (!arguments.save_base_file.empty()) MIXTRAL_TRY(check_output_path(arguments.save_base_file));
  if (arguments.windows.stride >= arguments.windows.context) {
    return fail(ErrorCode::kBadInput, "--stride {}: expected less than the context of {}",
                arguments.windows.stride, arguments.windows.context);
  }
  MIXTRAL_TRY(const Windows windows,
              base ? windows_of_ids(arguments.model, base->ids(), arguments.windows)
                   : windows_of_text(arguments.model, arguments.text_file, arguments.windows));
  arguments.model.context_len = windows.n_tokens();
  MIXTRAL_TRY(const auto engine, load_engine(arguments.model, context));
  const size_t vocab_size = engine->model().config().vocab_size;
  if (base && base->vocab_size() != vocab_size) {
    return fail(ErrorCode::kBadInput, "{}: of a model with {} tokens, but this one has {}",
                arguments.base_file, base->vocab_size(), vocab_size);
  }
  const auto progress = context.make_progress();
  MIXTRAL_TRY(const Findings findings,
              measure(arguments, *engine, windows, base ? &*base : nullptr, progress.get()));
  write_out(arguments.json ? json_of(findings, windows.n_tokens()).dump() + "\n"
                           : report(findings, windows.n_tokens()));
  return {};
}

constexpr const char* kFooter =
    R"(Windows are cut and scored as llama-perplexity does: each begins anew, after BOS
where the tokenizer adds one, and only its second half is scored.

Examples:
  mixtral perplexity -m model.gguf -f text.txt
  mixtral perplexity -m model-f16.gguf -f text.txt --save-kl-base base.bin
  mixtral perplexity -m model-q4.gguf --kl-base base.bin)";

void add_window_options(CLI::App& command, Arguments& arguments, CLI::Option* kl_base) {
  auto* file =
      command.add_option("-f,--file", arguments.text_file, "Text file, - for standard input");
  file->check(not_empty)->excludes(kl_base);
  add_shown_number_option<size_t>(command, "-c,--context", arguments.windows.context,
                                  "Tokens of a window", {.smallest = 4, .largest = kMaxContext})
      ->excludes(kl_base);
  auto* stride = add_number_option<size_t>(
      command, "--stride", arguments.windows.stride,
      "Windows this many tokens apart, the last of each scored (default: side by side)",
      {.smallest = 1, .largest = kMaxContext});
  stride->excludes(kl_base);
  add_number_option<size_t>(command, "--windows", arguments.windows.max_windows,
                            "Windows at most (default: the whole text)", {.smallest = 1})
      ->excludes(kl_base);
  command
      .add_option("--save-kl-base", arguments.save_base_file,
                  "Write what the model says, for --kl-base")
      ->check(not_empty)
      ->excludes(kl_base)
      ->excludes(stride);
}

}  // namespace

void add_perplexity_command(CLI::App& app, AppContext& context) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("perplexity", "How well a model predicts a text");
  command->footer(kFooter);
  add_model_option(*command, arguments->model);
  add_lora_option(*command, arguments->model);
  auto* kl_base = command->add_option("--kl-base", arguments->base_file,
                                      "Compare with the base model that wrote this file");
  kl_base->check(not_empty);
  add_window_options(*command, *arguments, kl_base);
  command->add_flag("--json", arguments->json, "Print one JSON object");
  add_device_options(*command, arguments->model);
  add_output_options(*command, context);
  command->callback([arguments, &context] {
    if (arguments->text_file.empty() && arguments->base_file.empty())
      throw CLI::RequiredError("--file or --kl-base");
    context.finish(run(*arguments, context));
  });
}

}  // namespace mixtral
