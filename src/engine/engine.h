// The library's public face: a model, its tokenizer and one sequence at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/function_ref.h"
#include "core/progress.h"
#include "core/result.h"
#include "engine/kv_cache.h"
#include "engine/sampler.h"
#include "model/transformer.h"
#include "ops/backend.h"
#include "text/tokenizer.h"

namespace mixtral {

struct EngineOptions {
  /// Positions; 0: the model's own. More than that is allowed: whether answers stay good is the
  /// caller's risk.
  size_t context_len = 0;
  size_t chunk_tokens = 256;  ///< rows of one prefill step, at least 1
  /// 0: not checked; else load() refuses a model that will not fit.
  uint64_t memory_limit_bytes = 0;
};

/// What a model will take, before any of it is loaded. In bytes.
struct MemoryPlan {
  uint64_t weights = 0, kv_cache = 0, scratch = 0;
  /// The largest uint64_t if the sum overflows.
  uint64_t total() const;
};

struct GenerateOptions {
  SamplingOptions sampling;
  size_t max_tokens = 0;             ///< 0: until the context is full
  std::vector<std::string> stop;     ///< the answer ends before the first of these; may span tokens
  bool ignore_end = false;           ///< go on after the model's end-of-answer token
  bool strip_leading_space = false;  ///< of the first piece: chat answers of SentencePiece models
  /// Set it from another thread or a signal handler: the call ends within one step, kCancelled.
  const std::atomic<bool>* cancel = nullptr;
};

enum class FinishReason { kStop, kLength, kCancelled };
std::string_view finish_reason_name(FinishReason reason);  // "stop", "length", "cancelled"

/// One step of an answer, as it happens.
struct GeneratedToken {
  SampledToken token;
  std::string text;  ///< whole characters that became certain with this token; may be empty
};

struct Timings {
  size_t prompt_tokens = 0;
  size_t cached_tokens = 0;   ///< of these, found in the cache from the call before
  double prompt_seconds = 0;  ///< until the first logits
  size_t generated_tokens = 0;
  double generate_seconds = 0;  ///< from the first logits to the end

  /// Of the tokens that were computed, not found in the cache; 0 if there is no such number.
  double prompt_tokens_per_second() const;
  /// The first token comes with the prompt, so one less than generated_tokens counts.
  double generate_tokens_per_second() const;
};

struct Generation {
  std::vector<SampledToken> tokens;  ///< the end-of-answer token included
  std::string text;                  ///< without a stop string; empty without a tokenizer
  FinishReason finish_reason = FinishReason::kStop;
  Timings timings;
};

/// A loaded model ready to answer. Not thread-safe: one call at a time.
class Engine {
 public:
  /// Loads checkpoint and tokenizer from `path`. Fails with kTooLarge, with the plan and advice in
  /// the message, if a memory limit is given and the plan exceeds it.
  static Result<std::unique_ptr<Engine>> load(const std::string& path,
                                              std::unique_ptr<Backend> backend,
                                              const EngineOptions& options,
                                              Progress* progress = nullptr);

  static MemoryPlan plan(const Checkpoint& checkpoint, const Backend& backend,
                         const EngineOptions& options);

  const Checkpoint& checkpoint() const { return checkpoint_; }
  const Transformer& model() const { return *model_; }
  /// nullptr if the checkpoint has none.
  const Tokenizer* tokenizer() const { return tokenizer_.get(); }
  size_t context_len() const { return cache_.context_len(); }

  /// Continues `prompt_ids`. What this prompt shares with the last call's tokens is not computed
  /// again; the answer has the same bits either way. `trace` sees the steps that are computed.
  /// Fails if the prompt leaves no room in the context, naming both numbers.
  Result<Generation> generate(std::span<const int32_t> prompt_ids, const GenerateOptions& options,
                              FunctionRef<void(const GeneratedToken&)> on_token,
                              StepTrace* trace = nullptr);

  /// Runs `ids` from an empty cache and calls `on_logits(position, logits)` for every position, in
  /// order, from `first_position` on; the logits of those before are not computed. An error that it
  /// returns ends the call.
  Status score(std::span<const int32_t> ids,
               FunctionRef<Status(size_t position, std::span<const float> logits)> on_logits,
               StepTrace* trace = nullptr, size_t first_position = 0);

 private:
  Engine(Checkpoint checkpoint, std::unique_ptr<Backend> backend,
         std::unique_ptr<Transformer> model, std::unique_ptr<Tokenizer> tokenizer, KvCache cache,
         const EngineOptions& options);
  Status check_ids(std::span<const int32_t> ids) const;
  size_t keep_common_prefix(std::span<const int32_t> prompt_ids);
  Result<bool> read_prompt(std::span<const int32_t> ids, const std::atomic<bool>* cancel,
                           StepTrace* trace);
  Status answer(std::span<const int32_t> prompt_ids, const GenerateOptions& options,
                size_t max_tokens, FunctionRef<void(const GeneratedToken&)> on_token,
                StepTrace* trace, Generation& generation);
  bool ends_answer(int32_t id) const;
  Status step(Arena& arena, std::span<const int32_t> ids, size_t n_logit_rows, StepTrace* trace);

  Checkpoint checkpoint_;
  std::unique_ptr<Backend> backend_;  // outlives model_
  std::unique_ptr<Transformer> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  KvCache cache_;
  Arena arena_;
  size_t chunk_tokens_;
  std::vector<int32_t> cached_ids_;  // tokens whose keys and values the cache holds
  std::vector<int32_t> logit_rows_;  // of the current step
  std::vector<float> logits_;        // of the last step, [n_logit_rows, vocab]
};

}  // namespace mixtral
