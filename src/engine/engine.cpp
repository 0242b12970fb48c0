#include "engine/engine.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "engine/engine_loop.h"

namespace mixtral {
namespace {

// How often a waiting call looks at its cancel flag.
constexpr std::chrono::milliseconds kPollInterval{10};

bool is_set(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

// A smaller vocabulary than the embedding's is common: tables are padded to round sizes.
Status check_vocabulary(const Tokenizer* tokenizer, const Checkpoint& checkpoint) {
  if (tokenizer == nullptr || tokenizer->vocab_size() <= checkpoint.config().vocab_size) return {};
  return fail(ErrorCode::kBadInput,
              "{}: the tokenizer has {} tokens, expected at most the {} rows of the embedding",
              checkpoint.path(), tokenizer->vocab_size(), checkpoint.config().vocab_size);
}

// What is in the way of a name: it is part of the salt of the prefix cache, before a zero byte.
Status check_names(const std::vector<AdapterOption>& adapters) {
  std::set<std::string_view> names;
  for (const AdapterOption& adapter : adapters) {
    if (adapter.name.empty() || adapter.name.find('\0') != std::string::npos) {
      return fail(ErrorCode::kBadInput, "{}: the adapter's name is '{}', expected some characters",
                  adapter.path, adapter.name);
    }
    if (!names.insert(adapter.name).second) {
      return fail(ErrorCode::kBadInput, "{}: a second adapter of the name '{}'", adapter.path,
                  adapter.name);
    }
  }
  return {};
}

Result<std::vector<AdapterFile>> open_adapters(const EngineOptions& options,
                                               const ModelConfig& config) {
  MIXTRAL_TRY(check_names(options.adapters));
  std::vector<AdapterFile> files;
  for (const AdapterOption& adapter : options.adapters) {
    MIXTRAL_TRY(AdapterFile file, AdapterFile::open(adapter.path, config));
    files.push_back(std::move(file));
  }
  return files;
}

Status check_stop(const std::vector<std::string>& stop, const Tokenizer* tokenizer) {
  for (const std::string& text : stop) {
    if (text.empty()) return fail(ErrorCode::kBadInput, "stop: an empty string");
  }
  if (!stop.empty() && tokenizer == nullptr) {
    return fail(ErrorCode::kBadInput, "stop: the checkpoint has no tokenizer to find texts with");
  }
  return {};
}

Status check_finite(std::span<const float> logits, size_t position) {
  const auto bad =
      std::find_if(logits.begin(), logits.end(), [](float x) { return !std::isfinite(x); });
  if (bad == logits.end()) return {};
  return fail(ErrorCode::kDevice,
              "the model gave token {} the logit {} at position {}, expected a finite number",
              bad - logits.begin(), *bad, position);
}

// The checkpoint of the draft model, if there is to be one.
Result<std::optional<Checkpoint>> open_draft(const EngineOptions& options,
                                             const ModelConfig& target) {
  if (options.speculation != Speculation::kDraft) return std::optional<Checkpoint>();
  MIXTRAL_TRY(Checkpoint draft, Checkpoint::open(options.draft_path));
  const size_t n_tokens = draft.config().vocab_size;
  if (n_tokens == target.vocab_size) return std::optional<Checkpoint>(std::move(draft));
  return fail(ErrorCode::kBadInput,
              "{}: a vocabulary of {} tokens, expected the {} of the model that it guesses for",
              options.draft_path, n_tokens, target.vocab_size);
}

Result<std::unique_ptr<Speculator>> make_speculator(const EngineOptions& options,
                                                    const ModelConfig& config,
                                                    const Checkpoint* draft, Backend& backend,
                                                    size_t n_pages) {
  if (options.speculation == Speculation::kNone) return std::unique_ptr<Speculator>();
  std::unique_ptr<DraftModel> model;
  if (draft != nullptr) {
    MIXTRAL_TRY(auto transformer, Transformer::load(*draft, backend));
    MIXTRAL_TRY(model,
                DraftModel::create(std::move(transformer), context_of(config, options), n_pages));
  }
  const SchedulerLimits limits = scheduler_limits(config, options);
  return std::make_unique<Speculator>(std::move(model), limits.max_sequences,
                                      limits.max_draft_rows);
}

double rate(size_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

Request make_request(std::span<const int32_t> prompt_ids, const GenerateOptions& options) {
  Request request;
  request.prompt_ids.assign(prompt_ids.begin(), prompt_ids.end());
  request.sampling = options.sampling;
  request.max_tokens = options.max_tokens;
  request.stop = options.stop;
  request.ignore_end = options.ignore_end;
  request.strip_leading_space = options.strip_leading_space;
  request.routing = options.routing;
  request.speculate = options.speculate;
  return request;
}

void add_event(PromptRead event, Generation& generation) {
  generation.timings.cached_tokens = event.n_cached;
  generation.timings.prompt_seconds = event.queue_seconds + event.read_seconds;
}

// A token's logits come from the step that read the one before it.
void add_event(AnswerToken event, Generation& generation) {
  if (event.routing && !generation.tokens.empty()) {
    generation.routing.push_back(*std::move(event.routing));
  }
  generation.tokens.push_back(std::move(event.token));
  generation.text += event.text;
}

}  // namespace

double Timings::prompt_tokens_per_second() const {
  return rate(prompt_tokens - cached_tokens, prompt_seconds);
}

double Timings::generate_tokens_per_second() const {
  return generated_tokens == 0 ? 0 : rate(generated_tokens - 1, generate_seconds);
}

Result<std::unique_ptr<Engine>> Engine::load(const std::string& path,
                                             std::unique_ptr<Backend> backend,
                                             const EngineOptions& options, Progress* progress) {
  MIXTRAL_TRY(Checkpoint checkpoint, Checkpoint::open(path));
  MIXTRAL_TRY(const std::vector<AdapterFile> adapter_files,
              open_adapters(options, checkpoint.config()));
  MIXTRAL_TRY(const auto draft, open_draft(options, checkpoint.config()));
  const Checkpoint* draft_checkpoint = draft ? &*draft : nullptr;
  const MemoryPlan memory =
      plan_memory(checkpoint, *backend, options, adapter_files, draft_checkpoint);
  auto fits = check_plan(memory, checkpoint, options);
  if (!fits) return with_context(std::move(fits).error(), path);
  MIXTRAL_TRY(std::unique_ptr<Tokenizer> tokenizer, Tokenizer::load(path));
  MIXTRAL_TRY(check_vocabulary(tokenizer.get(), checkpoint));
  const ModelConfig& config = checkpoint.config();
  const KvLayout layout = {backend->kv_type(), config.n_layers, config.n_kv_heads, config.head_dim};
  MIXTRAL_TRY(KvPool pool, KvPool::create(layout, memory.n_pages));
  MIXTRAL_TRY(auto model, Transformer::load(checkpoint, *backend, progress));
  MIXTRAL_TRY(auto adapters, load_adapters(adapter_files, *backend, options));
  MIXTRAL_TRY(auto speculator,
              make_speculator(options, config, draft_checkpoint, *backend, memory.n_pages));
  LoadedModel loaded = {std::move(model), std::move(adapters), std::move(speculator)};
  return std::unique_ptr<Engine>(new Engine(std::move(checkpoint), std::move(backend),
                                            std::move(loaded), std::move(tokenizer),
                                            std::move(pool), options));
}

Result<Engine::LoadedAdapters> Engine::load_adapters(std::span<const AdapterFile> files,
                                                     Backend& backend,
                                                     const EngineOptions& options) {
  LoadedAdapters adapters;
  for (const AdapterFile& file : files) {
    MIXTRAL_TRY(auto adapter, Adapter::load(file, backend));
    adapters.names.push_back(options.adapters[adapters.loaded.size()].name);
    adapters.loaded.push_back(std::move(adapter));
  }
  adapters.rank = largest_rank(files);
  adapters.default_name = options.default_adapter;
  MIXTRAL_TRY(adapters.find(adapters.default_name));
  return adapters;
}

Result<const Adapter*> Engine::LoadedAdapters::find(std::string_view name) const {
  if (name.empty()) return nullptr;
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return loaded[static_cast<size_t>(found - names.begin())].get();
  return fail(ErrorCode::kNotFound, "adapter: there is no '{}', only {}", name,
              names.empty() ? "the model itself" : fmt::format("{}", fmt::join(names, ", ")));
}

Engine::Engine(Checkpoint checkpoint, std::unique_ptr<Backend> backend, LoadedModel model,
               std::unique_ptr<Tokenizer> tokenizer, KvPool pool, const EngineOptions& options)
    : checkpoint_(std::move(checkpoint)),
      backend_(std::move(backend)),
      model_(std::move(model.transformer)),
      adapters_(std::move(model.adapters)),
      tokenizer_(std::move(tokenizer)),
      context_len_(context_of(model_->config(), options)),
      max_sequences_(std::max<size_t>(options.max_sequences, 1)),
      chunk_tokens_(std::min(std::max<size_t>(options.chunk_tokens, 1), context_len_)),
      loop_(std::make_unique<EngineLoop>(*model_, tokenizer_.get(), std::move(pool), options,
                                         adapters_.rank, std::move(model.speculator))) {}

Engine::~Engine() = default;

Status Engine::check_ids(std::span<const int32_t> ids) const {
  const size_t vocab_size = model_->config().vocab_size;
  if (ids.empty()) return fail(ErrorCode::kBadInput, "no token ids, expected at least one");
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || static_cast<size_t>(ids[i]) >= vocab_size) {
      return fail(ErrorCode::kBadInput,
                  "token id {} at position {} is outside the vocabulary of {} tokens", ids[i], i,
                  vocab_size);
    }
  }
  return {};
}

Status Engine::check(const Request& request) const {
  const size_t vocab_size = model_->config().vocab_size, n_tokens = request.prompt_ids.size();
  MIXTRAL_TRY(check_stop(request.stop, tokenizer_.get()));
  MIXTRAL_TRY(validate(request.sampling, vocab_size));
  MIXTRAL_TRY(check_ids(request.prompt_ids));
  if (request.grammar != nullptr && tokenizer_ == nullptr) {
    return fail(ErrorCode::kBadInput,
                "grammar: the checkpoint has no tokenizer to spell texts with");
  }
  if (request.n_prompt_logprobs && *request.n_prompt_logprobs > vocab_size) {
    return fail(ErrorCode::kBadInput,
                "prompt_logprobs: {}, expected at most the {} tokens there are",
                *request.n_prompt_logprobs, vocab_size);
  }
  if (request.prompt_only && n_tokens <= context_len_) return {};
  if (n_tokens >= context_len_) {
    return fail(ErrorCode::kTooLarge, "the prompt has {} tokens, expected {} the {} of the context",
                n_tokens, request.prompt_only ? "at most" : "less than", context_len_);
  }
  if (request.n_answers == 0 || request.n_answers > max_sequences_) {
    return fail(ErrorCode::kBadInput, "n: {} answers, expected 1 to {}", request.n_answers,
                max_sequences_);
  }
  return {};
}

Result<Stream> Engine::submit(Request request) {
  MIXTRAL_TRY(check(request));
  if (request.adapter.empty()) request.adapter = adapters_.default_name;
  MIXTRAL_TRY(const Adapter* adapter, adapters_.find(request.adapter));
  return loop_->submit(std::move(request), adapter);
}

EngineStats Engine::stats() const { return loop_->stats(); }

Result<Generation> Engine::generate(std::span<const int32_t> prompt_ids,
                                    const GenerateOptions& options,
                                    FunctionRef<void(const GeneratedToken&)> on_token) {
  MIXTRAL_TRY(Stream stream, submit(make_request(prompt_ids, options)));
  Generation generation;
  Timings& timings = generation.timings;
  timings.prompt_tokens = prompt_ids.size();
  bool cancelled = false;
  while (!stream.done()) {
    if (!cancelled && is_set(options.cancel)) {
      cancelled = true;
      stream.cancel();
    }
    auto event = stream.next_until(Clock::now() + kPollInterval);
    if (!event) continue;
    if (auto* end = std::get_if<AnswerEnd>(&*event)) {
      if (end->error) return tl::unexpected(*std::move(end->error));
      generation.finish_reason = cancelled ? FinishReason::kCancelled : end->reason;
      timings.generate_seconds = end->seconds;
    } else if (auto* token = std::get_if<AnswerToken>(&*event)) {
      if (cancelled) continue;  // the caller has seen enough
      const GeneratedToken seen = {token->token, token->text};
      add_event(std::move(*token), generation);
      on_token(seen);
    } else {
      add_event(std::get<PromptRead>(*std::move(event)), generation);
    }
  }
  timings.generated_tokens = generation.tokens.size();
  return generation;
}

Status Engine::score(std::span<const int32_t> ids,
                     FunctionRef<Status(size_t position, std::span<const float> logits)> on_logits,
                     StepTrace* trace, size_t first_position) {
  MIXTRAL_TRY(check_ids(ids));
  if (ids.size() > context_len()) {
    return fail(ErrorCode::kTooLarge, "{} tokens, expected at most the {} of the context",
                ids.size(), context_len());
  }
  Status status;
  loop_->run_alone([&] { status = score_alone(ids, on_logits, trace, first_position); });
  return status;
}

// On the engine's thread.
Status Engine::score_alone(
    std::span<const int32_t> ids,
    FunctionRef<Status(size_t position, std::span<const float> logits)> on_logits, StepTrace* trace,
    size_t first_position) {
  const size_t vocab_size = model_->config().vocab_size;
  const size_t most_rows =
      std::min(chunk_tokens_, ids.size() - std::min(first_position, ids.size()));
  Arena arena(model_->arena_bytes(chunk_tokens_, most_rows, adapters_.rank));
  MIXTRAL_TRY(const Adapter* adapter, adapters_.find(adapters_.default_name));
  KvSequence kv = loop_->make_kv_sequence();
  std::vector<int32_t> logit_rows;
  std::vector<float> logits(most_rows * vocab_size);
  for (size_t first = 0; first < ids.size(); first += chunk_tokens_) {
    const auto chunk = ids.subspan(first, std::min(chunk_tokens_, ids.size() - first));
    const size_t end = first + chunk.size();
    const size_t n_rows = std::min(chunk.size(), end - std::min(first_position, end));
    if (!loop_->extend(kv, chunk.size())) {
      return fail(ErrorCode::kBusy, "answers in progress leave no memory for {} positions",
                  ids.size());
    }
    const SequenceRows rows = {0, chunk.size(), first, kv.view()};
    logit_rows.resize(n_rows);
    std::iota(logit_rows.begin(), logit_rows.end(), static_cast<int32_t>(chunk.size() - n_rows));
    const AdapterRows adapter_rows = {0, chunk.size(), adapter};
    const std::span<const AdapterRows> adapters(&adapter_rows, adapter == nullptr ? 0 : 1);
    MIXTRAL_TRY(const auto found,
                model_->forward(arena, {chunk, {&rows, 1}, logit_rows, adapters}, trace));
    backend_->download(found, TensorView<float>(logits.data(), n_rows, vocab_size));
    for (size_t row = 0; row < n_rows; ++row) {
      const auto row_logits = std::span<const float>(logits).subspan(row * vocab_size, vocab_size);
      const size_t position = end - n_rows + row;
      MIXTRAL_TRY(check_finite(row_logits, position));
      MIXTRAL_TRY(on_logits(position, row_logits));
    }
  }
  return {};
}

}  // namespace mixtral
