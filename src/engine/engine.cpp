#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/checked.h"
#include "engine/answer_text.h"

namespace mixtral {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool is_set(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

size_t context_of(const ModelConfig& config, const EngineOptions& options) {
  return options.context_len != 0 ? options.context_len : config.context_len;
}

KvLayout kv_layout(const ModelConfig& config, const Backend& backend) {
  return {backend.kv_type(), config.n_layers, config.n_kv_heads, config.head_dim};
}

// Rows of a prefill step never need to be more than the context.
size_t chunk_of(const ModelConfig& config, const EngineOptions& options) {
  return std::min(std::max<size_t>(options.chunk_tokens, 1), context_of(config, options));
}

std::string megabytes(uint64_t bytes) { return fmt::format("{} MB", bytes / 1000000); }

Status check_fits(const MemoryPlan& plan, const ModelConfig& config, const EngineOptions& options) {
  if (options.memory_limit_bytes == 0 || plan.total() <= options.memory_limit_bytes) return {};
  return fail(ErrorCode::kTooLarge,
              "the model needs {} (weights {}, keys and values of {} positions {}, scratch {}), "
              "but {} are free: take a smaller weight type or a shorter context",
              megabytes(plan.total()), megabytes(plan.weights), context_of(config, options),
              megabytes(plan.kv_cache), megabytes(plan.scratch),
              megabytes(options.memory_limit_bytes));
}

// A smaller vocabulary than the embedding's is common: tables are padded to round sizes.
Status check_vocabulary(const Tokenizer* tokenizer, const Checkpoint& checkpoint) {
  if (tokenizer == nullptr || tokenizer->vocab_size() <= checkpoint.config().vocab_size) return {};
  return fail(ErrorCode::kBadInput,
              "{}: the tokenizer has {} tokens, expected at most the {} rows of the embedding",
              checkpoint.path(), tokenizer->vocab_size(), checkpoint.config().vocab_size);
}

Status validate(const GenerateOptions& options, size_t vocab_size, const Tokenizer* tokenizer) {
  for (const std::string& stop : options.stop) {
    if (stop.empty()) return fail(ErrorCode::kBadInput, "stop: an empty string");
  }
  if (!options.stop.empty() && tokenizer == nullptr) {
    return fail(ErrorCode::kBadInput, "stop: the checkpoint has no tokenizer to find texts with");
  }
  return validate(options.sampling, vocab_size);
}

Status check_finite(std::span<const float> logits, size_t position) {
  const auto bad =
      std::find_if(logits.begin(), logits.end(), [](float x) { return !std::isfinite(x); });
  if (bad == logits.end()) return {};
  return fail(ErrorCode::kBadInput,
              "the model gave token {} the logit {} at position {}, expected a finite number",
              bad - logits.begin(), *bad, position);
}

double rate(size_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

}  // namespace

uint64_t MemoryPlan::total() const {
  const CheckedSize sum = CheckedSize(weights) + CheckedSize(kv_cache) + CheckedSize(scratch);
  return sum.value().value_or(std::numeric_limits<uint64_t>::max());
}

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "cancelled";
  }
  MIXTRAL_CHECK(false, "unknown finish reason");
}

double Timings::prompt_tokens_per_second() const {
  return rate(prompt_tokens - cached_tokens, prompt_seconds);
}

double Timings::generate_tokens_per_second() const {
  return generated_tokens == 0 ? 0 : rate(generated_tokens - 1, generate_seconds);
}

MemoryPlan Engine::plan(const Checkpoint& checkpoint, const Backend& backend,
                        const EngineOptions& options) {
  const ModelConfig& config = checkpoint.config();
  const size_t chunk = chunk_of(config, options);
  MemoryPlan plan;
  for (const WeightId id : all_weights(config)) {
    plan.weights += backend.weight_bytes(*checkpoint.source(id));
  }
  plan.kv_cache = KvCache::planned_bytes(kv_layout(config, backend), context_of(config, options),
                                         config.sliding_window, chunk);
  plan.scratch = step_arena_bytes(config, backend, chunk, 1);
  return plan;
}

Result<std::unique_ptr<Engine>> Engine::load(const std::string& path,
                                             std::unique_ptr<Backend> backend,
                                             const EngineOptions& options, Progress* progress) {
  MIXTRAL_TRY(Checkpoint checkpoint, Checkpoint::open(path));
  const ModelConfig& config = checkpoint.config();
  auto fits = check_fits(plan(checkpoint, *backend, options), config, options);
  if (!fits) return with_context(std::move(fits).error(), path);
  MIXTRAL_TRY(std::unique_ptr<Tokenizer> tokenizer, Tokenizer::load(path));
  MIXTRAL_TRY(check_vocabulary(tokenizer.get(), checkpoint));
  MIXTRAL_TRY(KvCache cache,
              KvCache::create(kv_layout(config, *backend), context_of(config, options),
                              config.sliding_window, chunk_of(config, options)));
  MIXTRAL_TRY(auto model, Transformer::load(checkpoint, *backend, progress));
  return std::unique_ptr<Engine>(new Engine(std::move(checkpoint), std::move(backend),
                                            std::move(model), std::move(tokenizer),
                                            std::move(cache), options));
}

Engine::Engine(Checkpoint checkpoint, std::unique_ptr<Backend> backend,
               std::unique_ptr<Transformer> model, std::unique_ptr<Tokenizer> tokenizer,
               KvCache cache, const EngineOptions& options)
    : checkpoint_(std::move(checkpoint)),
      backend_(std::move(backend)),
      model_(std::move(model)),
      tokenizer_(std::move(tokenizer)),
      cache_(std::move(cache)),
      chunk_tokens_(chunk_of(model_->config(), options)) {
  arena_ = Arena(model_->arena_bytes(chunk_tokens_, 1));
}

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

// Appends `ids` to the sequence. logits_ then holds the logits of the last `n_logit_rows` of them.
Status Engine::step(Arena& arena, std::span<const int32_t> ids, size_t n_logit_rows,
                    StepTrace* trace) {
  const size_t first_position = cache_.n_tokens();
  cache_.extend(ids.size());
  const SequenceRows rows = {0, ids.size(), first_position, cache_.view()};
  logit_rows_.resize(n_logit_rows);
  std::iota(logit_rows_.begin(), logit_rows_.end(),
            static_cast<int32_t>(ids.size() - n_logit_rows));
  const auto logits = model_->forward(arena, {ids, {&rows, 1}, logit_rows_}, trace);
  if (!logits) {
    cached_ids_.resize(cache_.truncate(first_position));
    return tl::unexpected(logits.error());
  }
  cached_ids_.insert(cached_ids_.end(), ids.begin(), ids.end());
  const size_t vocab_size = model_->config().vocab_size;
  logits_.resize(n_logit_rows * vocab_size);
  backend_->download(*logits, TensorView<float>(logits_.data(), n_logit_rows, vocab_size));
  return {};
}

// Shortens the cache to what it shares with the prompt; the last token is always computed, for its
// logits.
size_t Engine::keep_common_prefix(std::span<const int32_t> prompt_ids) {
  const size_t limit = std::min(cached_ids_.size(), prompt_ids.size() - 1);
  const auto differ = std::mismatch(
      prompt_ids.begin(), prompt_ids.begin() + static_cast<ptrdiff_t>(limit), cached_ids_.begin());
  const size_t kept = cache_.truncate(static_cast<size_t>(differ.first - prompt_ids.begin()));
  cached_ids_.resize(kept);
  return kept;
}

// Chunk by chunk; false if cancelled. logits_ then holds those of the last token.
Result<bool> Engine::read_prompt(std::span<const int32_t> ids, const std::atomic<bool>* cancel,
                                 StepTrace* trace) {
  while (!ids.empty()) {
    if (is_set(cancel)) return false;
    const size_t n = std::min(ids.size(), chunk_tokens_);
    MIXTRAL_TRY(step(arena_, ids.first(n), n == ids.size() ? 1 : 0, trace));
    ids = ids.subspan(n);
  }
  return true;
}

bool Engine::ends_answer(int32_t id) const {
  if (tokenizer_ == nullptr) return false;
  const auto ends = tokenizer_->end_ids();
  return std::find(ends.begin(), ends.end(), id) != ends.end();
}

// Token by token, from the prompt's last logits in logits_.
Status Engine::answer(std::span<const int32_t> prompt_ids, const GenerateOptions& options,
                      size_t max_tokens, FunctionRef<void(const GeneratedToken&)> on_token,
                      StepTrace* trace, Generation& generation) {
  Sampler sampler(options.sampling, model_->config().vocab_size);
  for (const int32_t id : prompt_ids) sampler.observe(id, false);
  AnswerText text(tokenizer_.get(), options.stop, options.strip_leading_space);
  for (;;) {
    MIXTRAL_TRY(SampledToken token, sampler.sample(logits_));
    const int32_t id = token.id;
    sampler.observe(id, true);
    const bool ended = !options.ignore_end && ends_answer(id);
    GeneratedToken event = {token, ended ? std::string() : text.push(id)};
    const bool full = generation.tokens.size() + 1 == max_tokens;
    if (ended || full) event.text += text.finish();
    generation.tokens.push_back(std::move(token));
    generation.text += event.text;
    on_token(event);
    if (ended || text.stopped()) {
      generation.finish_reason = FinishReason::kStop;
      return {};
    }
    if (full || is_set(options.cancel)) {
      generation.finish_reason = full ? FinishReason::kLength : FinishReason::kCancelled;
      return {};
    }
    MIXTRAL_TRY(step(arena_, {&id, 1}, 1, trace));
  }
}

Result<Generation> Engine::generate(std::span<const int32_t> prompt_ids,
                                    const GenerateOptions& options,
                                    FunctionRef<void(const GeneratedToken&)> on_token,
                                    StepTrace* trace) {
  const size_t vocab_size = model_->config().vocab_size;
  MIXTRAL_TRY(validate(options, vocab_size, tokenizer_.get()));
  MIXTRAL_TRY(check_ids(prompt_ids));
  if (prompt_ids.size() >= context_len()) {
    return fail(ErrorCode::kTooLarge,
                "the prompt has {} tokens, expected less than the {} of the context",
                prompt_ids.size(), context_len());
  }
  const size_t room = context_len() - prompt_ids.size();
  const size_t max_tokens = options.max_tokens == 0 ? room : std::min(options.max_tokens, room);

  Generation generation;
  Timings& timings = generation.timings;
  const auto start = Clock::now();
  timings.prompt_tokens = prompt_ids.size();
  timings.cached_tokens = keep_common_prefix(prompt_ids);
  MIXTRAL_TRY(const bool whole,
              read_prompt(prompt_ids.subspan(timings.cached_tokens), options.cancel, trace));
  timings.prompt_seconds = seconds_since(start);
  if (!whole) {
    generation.finish_reason = FinishReason::kCancelled;
    return generation;
  }
  MIXTRAL_TRY(answer(prompt_ids, options, max_tokens, on_token, trace, generation));
  timings.generated_tokens = generation.tokens.size();
  timings.generate_seconds = seconds_since(start) - timings.prompt_seconds;
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
  const size_t vocab_size = model_->config().vocab_size;
  const size_t n_logits = ids.size() - std::min(first_position, ids.size());
  Arena arena(model_->arena_bytes(chunk_tokens_, std::min(chunk_tokens_, n_logits)));
  cached_ids_.resize(cache_.truncate(0));
  for (size_t first = 0; first < ids.size(); first += chunk_tokens_) {
    const auto chunk = ids.subspan(first, std::min(chunk_tokens_, ids.size() - first));
    const size_t end = first + chunk.size();
    const size_t n_rows = std::min(chunk.size(), end - std::min(first_position, end));
    MIXTRAL_TRY(step(arena, chunk, n_rows, trace));
    for (size_t row = 0; row < n_rows; ++row) {
      const auto logits = std::span(logits_).subspan(row * vocab_size, vocab_size);
      const size_t position = end - n_rows + row;
      MIXTRAL_TRY(check_finite(logits, position));
      MIXTRAL_TRY(on_logits(position, logits));
    }
  }
  return {};
}

}  // namespace mixtral
