#include "engine/engine_options.h"

#include <algorithm>
#include <limits>
#include <string>

#include "core/checked.h"
#include "engine/draft_model.h"
#include "model/adapter.h"
#include "model/transformer.h"

namespace mixtral {
namespace {

// Beyond any model; keeps the page tables themselves small.
constexpr size_t kMaxContext = size_t{1} << 30;
// What the default cache has room for.
constexpr size_t kDefaultSequences = 16, kDefaultTokens = 2048;

// Guesses in a step: more of one sequence seldom all come true.
constexpr size_t kDraftRows = 16;

std::string megabytes(uint64_t bytes) { return fmt::format("{} MB", bytes / 1000000); }

size_t needed_pages(const SchedulerLimits& limits) { return limits.max_sequence_pages + 1; }

uint64_t weight_bytes(const Checkpoint& checkpoint, const Backend& backend) {
  uint64_t bytes = 0;
  for (const WeightId id : all_weights(checkpoint.config())) {
    bytes += backend.weight_bytes(*checkpoint.source(id));
  }
  return bytes;
}

size_t default_pages(const ModelConfig& config, const SchedulerLimits& limits,
                     const EngineOptions& options) {
  const size_t one = pages_of(std::min(context_of(config, options), kDefaultTokens));
  const size_t many = std::min(limits.max_sequences, kDefaultSequences) * one;
  return std::max(needed_pages(limits), limits.max_sequences > 1 ? many : 0);
}

}  // namespace

uint64_t MemoryPlan::total() const {
  const CheckedSize sum = CheckedSize(weights) + CheckedSize(adapters) + CheckedSize(kv_cache) +
                          CheckedSize(scratch) + CheckedSize(draft);
  return sum.value().value_or(std::numeric_limits<uint64_t>::max());
}

size_t context_of(const ModelConfig& config, const EngineOptions& options) {
  return options.context_len != 0 ? options.context_len : config.context_len;
}

SchedulerLimits scheduler_limits(const ModelConfig& config, const EngineOptions& options) {
  const size_t context_len = context_of(config, options);
  SchedulerLimits limits;
  limits.max_sequences = std::max<size_t>(options.max_sequences, 1);
  // Rows of a prompt never need to be more than the context.
  const size_t chunk = std::min(std::max<size_t>(options.chunk_tokens, 1), context_len);
  limits.max_draft_rows = options.speculation == Speculation::kNone ? 0 : kDraftRows;
  limits.max_shared_rows = std::clamp<size_t>(options.shared_chunk_tokens, 1, chunk);
  // However many stream, who comes late is read as fast as with few.
  limits.max_rows = std::max(
      chunk, limits.max_sequences + std::max(limits.max_draft_rows, limits.max_shared_rows));
  limits.max_sequence_pages =
      pages_per_sequence(context_len, config.sliding_window, limits.max_rows);
  return limits;
}

size_t max_logit_rows(const SchedulerLimits& limits) {
  return limits.max_sequences + limits.max_draft_rows +
         std::min(limits.max_prompt_logit_rows, limits.max_rows);
}

size_t largest_rank(std::span<const AdapterFile> adapters) {
  size_t rank = 0;
  for (const AdapterFile& adapter : adapters) rank = std::max(rank, adapter.rank());
  return rank;
}

MemoryPlan plan_memory(const Checkpoint& checkpoint, const Backend& backend,
                       const EngineOptions& options, std::span<const AdapterFile> adapters,
                       const Checkpoint* draft) {
  const ModelConfig& config = checkpoint.config();
  const SchedulerLimits limits = scheduler_limits(config, options);
  const size_t logit_rows = max_logit_rows(limits);
  MemoryPlan plan;
  plan.weights = weight_bytes(checkpoint, backend);
  for (const AdapterFile& adapter : adapters) {
    plan.adapters += Adapter::planned_bytes(adapter, backend);
  }
  const size_t rank = largest_rank(adapters);
  plan.scratch = step_arena_bytes(config, backend, limits.max_rows, logit_rows, rank) +
                 logit_rows * config.vocab_size * sizeof(float);

  const KvLayout layout = {backend.kv_type(), config.n_layers, config.n_kv_heads, config.head_dim};
  const auto draft_bytes = [&](size_t n_pages) {
    return weight_bytes(*draft, backend) +
           DraftModel::memory_bytes(draft->config(), backend, n_pages);
  };
  const uint64_t page_bytes =
      layout.page_bytes() + (draft == nullptr ? 0 : draft_bytes(1) - draft_bytes(0));
  plan.n_pages = options.kv_bytes != 0 ? options.kv_bytes / layout.page_bytes()
                                       : default_pages(config, limits, options);
  if (draft != nullptr) plan.draft = draft_bytes(0);
  if (options.kv_bytes == 0 && options.memory_limit_bytes != 0) {
    const uint64_t others = plan.weights + plan.adapters + plan.scratch + plan.draft;
    const uint64_t limit = options.memory_limit_bytes;
    const size_t left = limit > others ? (limit - others) / page_bytes : 0;
    plan.n_pages = std::max(needed_pages(limits), std::min(plan.n_pages, left));
  }
  const CheckedSize kv_bytes = CheckedSize(plan.n_pages) * CheckedSize(layout.page_bytes());
  plan.kv_cache = kv_bytes.value().value_or(std::numeric_limits<size_t>::max());
  if (draft != nullptr) plan.draft = draft_bytes(plan.n_pages);
  return plan;
}

Status check_plan(const MemoryPlan& plan, const Checkpoint& checkpoint,
                  const EngineOptions& options) {
  const size_t context_len = context_of(checkpoint.config(), options);
  if (context_len > kMaxContext) {
    return fail(ErrorCode::kTooLarge, "a context of {} positions, expected 1 to {}", context_len,
                kMaxContext);
  }
  const size_t needed = needed_pages(scheduler_limits(checkpoint.config(), options));
  if (plan.n_pages < needed) {
    return fail(ErrorCode::kTooLarge,
                "memory for {} pages of keys and values, expected at least the {} of one context "
                "of {} positions: give it more or take a shorter context",
                plan.n_pages, needed, context_len);
  }
  if (options.memory_limit_bytes == 0 || plan.total() <= options.memory_limit_bytes) return {};
  return fail(ErrorCode::kTooLarge,
              "the model needs {} (weights {}, adapters {}, keys and values of {} positions {}, "
              "scratch {}, draft model {}), but {} are free: take a smaller weight type or a "
              "shorter context",
              megabytes(plan.total()), megabytes(plan.weights), megabytes(plan.adapters),
              plan.n_pages * kPageTokens, megabytes(plan.kv_cache), megabytes(plan.scratch),
              megabytes(plan.draft), megabytes(options.memory_limit_bytes));
}

}  // namespace mixtral
