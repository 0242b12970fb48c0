// The engine's thread: takes requests from a queue, runs steps, and hands out events.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/function_ref.h"
#include "engine/answer_writer.h"
#include "engine/engine_options.h"
#include "engine/running_request.h"
#include "engine/scheduler.h"
#include "engine/speculator.h"
#include "engine/stats.h"
#include "grammar/grammar_matcher.h"
#include "model/transformer.h"
#include "text/tokenizer.h"

namespace mixtral {

/// Idle it waits without using a CPU. A step takes no lock but those of the streams that get
/// events, and of the queue when something is in it; its forward pass allocates nothing. Public
/// functions are thread-safe unless they say otherwise.
class EngineLoop {
 public:
  /// `model` and `tokenizer` (which may be null) must outlive this. Adapters have `adapter_rank` at
  /// most; 0: there are none. Without `speculator` answers come token by token.
  EngineLoop(const Transformer& model, const Tokenizer* tokenizer, KvPool pool,
             const EngineOptions& options, size_t adapter_rank,
             std::unique_ptr<Speculator> speculator);
  /// Answers in progress end with kCancelled.
  ~EngineLoop();
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  /// Fails with kBusy if as many answers are in progress or waiting as may be. The request must be
  /// valid. `adapter`, which may be null, is what request.adapter names and must outlive this.
  Result<Stream> submit(Request request, const Adapter* adapter = nullptr);
  /// Calls `body` on the engine's thread between two steps and returns when it is done; all answers
  /// wait meanwhile. Must not be called from the engine's thread.
  void run_alone(FunctionRef<void()> body);
  EngineStats stats() const;

  /// A cache for run_alone(), and room in it for `count` more positions: false if running answers
  /// leave too few pages. Only for the engine's thread.
  KvSequence make_kv_sequence();
  bool extend(KvSequence& kv, size_t count);

 private:
  struct Task {
    FunctionRef<void()> body;
    bool done = false;
  };
  struct Counters {
    std::atomic<size_t> waiting{0}, running{0}, pages_used{0}, pages_cached{0};
    std::atomic<uint64_t> steps{0}, step_rows{0}, prompt_tokens{0}, cached_tokens{0};
    std::atomic<uint64_t> generated_tokens{0}, accepted{0}, refused{0}, preemptions{0};
    std::atomic<uint64_t> drafted{0}, drafts_accepted{0};
    std::array<std::atomic<uint64_t>, 5> finished{};
    std::atomic<double> step_seconds{0}, overhead_seconds{0};
  };

  void run();
  bool take_queue();
  void take(std::unique_ptr<RunningRequest> request);
  void end_stopped();
  void run_step();
  Result<TensorView<const float>> forward(std::span<const ScheduledRows> plan);
  void use_rows(const ScheduledRows& rows, size_t first_row, TensorView<const float> logits);
  Sequence& fork(Sequence& parent);
  void start_answers(Sequence& sequence, size_t last_row, std::span<const float> logits);
  void write_tokens(Sequence& sequence, size_t last_row, TensorView<const float> logits);
  bool write_token(Sequence& sequence, size_t row, std::span<const float> logits);
  void end(Sequence& sequence, FinishReason reason, std::optional<Error> error = {});
  void send_end(RunningRequest& request, AnswerEnd event);
  AnswerSetting answer_setting(const Request& request) const;
  Result<std::optional<GrammarMatcher>> match(const Request& request);
  void publish();

  const Transformer& model_;
  const Tokenizer* tokenizer_;
  const size_t context_len_, max_answers_;
  KvPool pool_;
  PrefixCache cache_;
  const std::unique_ptr<Speculator> speculator_;  // outlives the sequences
  Scheduler scheduler_;
  StepRecorder recorder_;
  std::unique_ptr<TokenMaskCache> token_masks_;  // from the first request with a grammar on
  Arena arena_;

  // Of the current step.
  std::vector<int32_t> ids_, logit_rows_;
  std::vector<SequenceRows> rows_;
  std::vector<AdapterRows> adapter_rows_;
  std::vector<float> logits_;
  Clock::time_point now_;
  double forward_seconds_ = 0;
  uint64_t n_arrived_ = 0;

  std::atomic<size_t> n_answers_{0};  // accepted and not ended
  Counters counters_;

  std::mutex mutex_;
  std::condition_variable news_, task_done_;
  std::atomic<bool> has_news_{false};
  std::vector<std::unique_ptr<RunningRequest>> queue_;
  std::deque<Task*> tasks_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace mixtral
