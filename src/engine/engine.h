// The library's public face: a model, its tokenizer, and as many answers at once as there is memory
// for.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/function_ref.h"
#include "core/progress.h"
#include "core/result.h"
#include "engine/answer.h"
#include "engine/engine_options.h"
#include "engine/request.h"
#include "engine/stats.h"
#include "engine/stream.h"
#include "model/adapter.h"
#include "model/transformer.h"
#include "ops/backend.h"
#include "text/tokenizer.h"

namespace mixtral {

class EngineLoop;
class Speculator;

struct GenerateOptions {
  SamplingOptions sampling;
  size_t max_tokens = 0;             ///< 0: until the context is full
  std::vector<std::string> stop;     ///< the answer ends before the first of these; may span tokens
  bool ignore_end = false;           ///< go on after the model's end-of-answer token
  bool strip_leading_space = false;  ///< of the first piece: chat answers of SentencePiece models
  bool routing = false;              ///< collect the experts of the answer's tokens
  bool speculate = true;             ///< if the engine does; the answer is the same either way
  /// Set it from another thread or a signal handler: the call ends soon after, kCancelled.
  const std::atomic<bool>* cancel = nullptr;
};

/// One step of an answer, as it happens.
struct GeneratedToken {
  SampledToken token;
  std::string text;  ///< whole characters that became certain with this token; may be empty
};

struct Timings {
  size_t prompt_tokens = 0;
  size_t cached_tokens = 0;   ///< of these, found in the prefix cache
  double prompt_seconds = 0;  ///< until the first logits, waiting included
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
  /// If asked for, of each token but the last, which no expert has read.
  std::vector<TokenRouting> routing;
  FinishReason finish_reason = FinishReason::kStop;
  Timings timings;
};

/// A loaded model ready to answer, with a thread of its own that runs the steps. Thread-safe.
/// Answers have the same bits alone and in company, from an empty cache and from a full one.
class Engine {
 public:
  /// Loads checkpoint and tokenizer from `path`. Fails with kTooLarge, with the plan and advice in
  /// the message, if a memory limit is given and the plan exceeds it, or if the memory for keys and
  /// values is less than one context takes; with kBadInput if a draft model has another vocabulary.
  /// Loads the adapters too.
  static Result<std::unique_ptr<Engine>> load(const std::string& path,
                                              std::unique_ptr<Backend> backend,
                                              const EngineOptions& options,
                                              Progress* progress = nullptr);
  /// Answers in progress end with kCancelled.
  ~Engine();

  /// Of the model without adapters.
  static MemoryPlan plan(const Checkpoint& checkpoint, const Backend& backend,
                         const EngineOptions& options, const Checkpoint* draft = nullptr) {
    return plan_memory(checkpoint, backend, options, {}, draft);
  }

  const Checkpoint& checkpoint() const { return checkpoint_; }
  const Transformer& model() const { return *model_; }
  /// nullptr if the checkpoint has none.
  const Tokenizer* tokenizer() const { return tokenizer_.get(); }
  size_t context_len() const { return context_len_; }
  size_t max_sequences() const { return max_sequences_; }
  /// What Request::adapter may be.
  const std::vector<std::string>& adapter_names() const { return adapters_.names; }

  /// Puts a request into the queue and returns at once. Fails with kBusy if the queue is full, with
  /// kTooLarge, naming both numbers, if the prompt leaves no room in the context, and with
  /// kBadInput if the request contradicts itself or the model.
  Result<Stream> submit(Request request);
  EngineStats stats() const;

  /// One answer, waited for: submit() and what it takes to put the events together. `on_token` is
  /// called on this thread.
  Result<Generation> generate(std::span<const int32_t> prompt_ids, const GenerateOptions& options,
                              FunctionRef<void(const GeneratedToken&)> on_token);

  /// Runs `ids` from an empty cache and calls `on_logits(position, logits)` for every position, in
  /// order, from `first_position` on, through the default adapter if there is one; the logits of
  /// those before are not computed. An error that it returns ends the call. The engine does nothing
  /// else meanwhile: on_logits and `trace`, which are called on the engine's thread, must not call
  /// the engine. Fails with kBusy if answers in progress leave too little memory.
  Status score(std::span<const int32_t> ids,
               FunctionRef<Status(size_t position, std::span<const float> logits)> on_logits,
               StepTrace* trace = nullptr, size_t first_position = 0);

 private:
  struct LoadedAdapters {
    /// nullptr for no name; fails with kNotFound.
    Result<const Adapter*> find(std::string_view name) const;

    std::vector<std::string> names;
    std::vector<std::unique_ptr<const Adapter>> loaded;
    size_t rank = 0;  // the largest
    std::string default_name;
  };
  static Result<LoadedAdapters> load_adapters(std::span<const AdapterFile> files, Backend& backend,
                                              const EngineOptions& options);
  struct LoadedModel {
    std::unique_ptr<Transformer> transformer;
    LoadedAdapters adapters;
    std::unique_ptr<Speculator> speculator;
  };
  Engine(Checkpoint checkpoint, std::unique_ptr<Backend> backend, LoadedModel model,
         std::unique_ptr<Tokenizer> tokenizer, KvPool pool, const EngineOptions& options);
  Status check_ids(std::span<const int32_t> ids) const;
  Status check(const Request& request) const;
  Status score_alone(std::span<const int32_t> ids,
                     FunctionRef<Status(size_t position, std::span<const float> logits)> on_logits,
                     StepTrace* trace, size_t first_position);

  Checkpoint checkpoint_;
  std::unique_ptr<Backend> backend_;  // outlives model_
  std::unique_ptr<Transformer> model_;
  LoadedAdapters adapters_;
  std::unique_ptr<Tokenizer> tokenizer_;
  const size_t context_len_, max_sequences_, chunk_tokens_;
  std::unique_ptr<EngineLoop> loop_;  // last: it uses all of the above
};

}  // namespace mixtral
