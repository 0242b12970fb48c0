#include "engine/engine_loop.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace mixtral {
namespace {

double seconds_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

size_t n_answers_of(const Request& request) { return request.prompt_only ? 1 : request.n_answers; }

// Adapters make keys and values of their own. No name holds a zero byte, so no two pairs are alike.
std::string salt_of(const Request& request) {
  return request.adapter + std::string(1, '\0') + request.cache_salt;
}

// Neighbours with the same adapter go through it together.
void add_adapter_rows(const Adapter* adapter, const SequenceRows& rows,
                      std::vector<AdapterRows>& to) {
  if (adapter == nullptr) return;
  const bool goes_on = !to.empty() && to.back().adapter == adapter &&
                       to.back().first_row + to.back().n_rows == rows.first_row;
  if (goes_on) {
    to.back().n_rows += rows.n_rows;
  } else {
    to.push_back({rows.first_row, rows.n_rows, adapter});
  }
}

// Signals are for the program's own threads: a read that waits there must notice them. All but
// those that a thread's own instructions cause, such as the reading of a mapped file that was cut.
void block_signals() {
  sigset_t others;
  sigfillset(&others);
  for (const int own : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&others, own);
  pthread_sigmask(SIG_BLOCK, &others, nullptr);
}

// There is one writer, so nothing is lost between load and store.
template <class T>
void add(std::atomic<T>& counter, T value) {
  counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
}

}  // namespace

EngineLoop::EngineLoop(const Transformer& model, const Tokenizer* tokenizer, KvPool pool,
                       const EngineOptions& options, size_t adapter_rank,
                       std::unique_ptr<Speculator> speculator)
    : model_(model),
      tokenizer_(tokenizer),
      context_len_(context_of(model.config(), options)),
      max_answers_(std::max<size_t>(options.max_sequences, 1) + options.max_waiting),
      pool_(std::move(pool)),
      cache_(pool_, model.config().sliding_window),
      speculator_(std::move(speculator)),
      scheduler_(scheduler_limits(model.config(), options), pool_, cache_),
      recorder_(model, scheduler_limits(model.config(), options).max_rows) {
  const SchedulerLimits limits = scheduler_limits(model.config(), options);
  const size_t logit_rows = max_logit_rows(limits);
  arena_ = Arena(model.arena_bytes(limits.max_rows, logit_rows, adapter_rank));
  logits_.resize(logit_rows * model.config().vocab_size);
  ids_.reserve(limits.max_rows);
  logit_rows_.reserve(logit_rows);
  rows_.reserve(limits.max_sequences);
  adapter_rows_.reserve(limits.max_sequences);
  thread_ = std::thread([this] { run(); });
}

EngineLoop::~EngineLoop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    has_news_.store(true, std::memory_order_relaxed);
  }
  news_.notify_all();
  thread_.join();
}

Result<Stream> EngineLoop::submit(Request request, const Adapter* adapter) {
  const size_t n_answers = n_answers_of(request);
  auto running = std::make_unique<RunningRequest>();
  running->request = std::move(request);
  running->adapter = adapter;
  running->n_unfinished = n_answers;
  running->submitted = Clock::now();
  Stream stream(running->stream);
  {
    const std::lock_guard lock(mutex_);
    const size_t n_before = n_answers_.load(std::memory_order_relaxed);
    if (n_before + n_answers > max_answers_) {
      add<uint64_t>(counters_.refused, 1);
      return fail(ErrorCode::kBusy,
                  "{} answers are in progress or waiting and {} more are asked for, expected at "
                  "most {} together: try again later",
                  n_before, n_answers, max_answers_);
    }
    n_answers_.fetch_add(n_answers, std::memory_order_relaxed);
    add<uint64_t>(counters_.accepted, 1);
    queue_.push_back(std::move(running));
    has_news_.store(true, std::memory_order_relaxed);
  }
  news_.notify_one();
  return stream;
}

void EngineLoop::run_alone(FunctionRef<void()> body) {
  Task task = {body};
  std::unique_lock lock(mutex_);
  tasks_.push_back(&task);
  has_news_.store(true, std::memory_order_relaxed);
  news_.notify_one();
  task_done_.wait(lock, [&] { return task.done; });
}

KvSequence EngineLoop::make_kv_sequence() {
  return KvSequence(pool_, context_len_, model_.config().sliding_window);
}

bool EngineLoop::extend(KvSequence& kv, size_t count) {
  return scheduler_.make_room(kv, count) && kv.extend(count);
}

void EngineLoop::run() {
  block_signals();
  while (take_queue()) {
    now_ = Clock::now();
    end_stopped();
    if (!scheduler_.empty()) run_step();
    publish();
  }
  while (!scheduler_.empty()) {
    const auto& some = scheduler_.running().empty() ? scheduler_.waiting() : scheduler_.running();
    end(*some.front(), FinishReason::kCancelled);
  }
}

// Takes what was submitted, runs tasks, and waits while there is nothing to do. False at the end.
bool EngineLoop::take_queue() {
  if (!scheduler_.empty() && !has_news_.load(std::memory_order_relaxed)) return true;
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait(lock, [this] {
      return stop_ || !queue_.empty() || !tasks_.empty() || !scheduler_.empty();
    });
    has_news_.store(false, std::memory_order_relaxed);
    for (auto& request : queue_) take(std::move(request));
    queue_.clear();
    if (stop_) return false;
    while (!tasks_.empty()) {
      Task* const task = tasks_.front();
      tasks_.pop_front();
      lock.unlock();
      task->body();
      lock.lock();
      task->done = true;
      task_done_.notify_all();
    }
    if (!scheduler_.empty()) return true;
  }
}

void EngineLoop::take(std::unique_ptr<RunningRequest> running) {
  const Request& request = running->request;
  auto sequence = std::make_unique<Sequence>(make_kv_sequence());
  sequence->ids = request.prompt_ids;
  sequence->client = request.client;
  sequence->salt = salt_of(request);
  sequence->priority = request.priority;
  sequence->order = n_arrived_++;
  sequence->n_answers = n_answers_of(request);
  sequence->wants_all_logits = request.n_prompt_logprobs.has_value();
  sequence->reuses_prompt = !request.n_prompt_logprobs && !request.embedding;
  sequence->request = std::move(running);
  scheduler_.add(std::move(sequence));
}

// Ends what was cancelled or is too late.
void EngineLoop::end_stopped() {
  std::vector<std::pair<Sequence*, FinishReason>> stopped;
  for (const auto sequences : {scheduler_.running(), scheduler_.waiting()}) {
    for (const auto& sequence : sequences) {
      const RunningRequest& running = *sequence->request;
      if (running.stream->cancelled()) {
        stopped.push_back({sequence.get(), FinishReason::kCancelled});
      } else if (running.request.deadline && now_ >= *running.request.deadline) {
        stopped.push_back({sequence.get(), FinishReason::kDeadline});
      }
    }
  }
  for (const auto& [sequence, reason] : stopped) end(*sequence, reason);
}

void EngineLoop::run_step() {
  if (speculator_ != nullptr) speculator_->add_drafts(scheduler_.running());
  const auto plan = scheduler_.plan_step();
  const auto logits = forward(plan);
  if (!logits) {
    for (const ScheduledRows& rows : plan) {
      end(*rows.sequence, FinishReason::kError, logits.error());
    }
    return;
  }
  if (speculator_ != nullptr && logit_rows_.size() == ids_.size()) {
    speculator_->observe_step(ids_.size(), forward_seconds_);
  }
  scheduler_.step_done();
  add<uint64_t>(counters_.steps, 1);
  size_t first_row = 0, first_logit_row = 0;
  for (const ScheduledRows& rows : plan) {
    use_rows(rows, first_row, logits->rows_from(first_logit_row, rows.n_logit_rows));
    first_row += rows.n_rows;
    first_logit_row += rows.n_logit_rows;
  }
  const double seconds = seconds_between(now_, Clock::now());
  add(counters_.step_seconds, seconds);
  add(counters_.overhead_seconds, seconds - forward_seconds_);
}

// The logits, in host memory.
Result<TensorView<const float>> EngineLoop::forward(std::span<const ScheduledRows> plan) {
  ids_.clear();
  rows_.clear();
  adapter_rows_.clear();
  logit_rows_.clear();
  bool wants_hidden = false;
  for (const ScheduledRows& rows : plan) {
    Sequence& sequence = *rows.sequence;
    RunningRequest& running = *sequence.request;
    if (!std::exchange(running.has_started, true)) running.started = now_;
    add<uint64_t>(counters_.drafted, sequence.n_drafts);
    wants_hidden |= running.request.embedding && !running.prompt_is_read;
    const size_t end = sequence.kv.n_tokens(), first_position = end - rows.n_rows;
    rows_.push_back({ids_.size(), rows.n_rows, first_position, sequence.kv.view()});
    add_adapter_rows(running.adapter, rows_.back(), adapter_rows_);
    const auto first = sequence.ids.begin() + static_cast<ptrdiff_t>(first_position);
    ids_.insert(ids_.end(), first, first + static_cast<ptrdiff_t>(rows.n_rows));
    for (size_t row = ids_.size() - rows.n_logit_rows; row < ids_.size(); ++row) {
      logit_rows_.push_back(static_cast<int32_t>(row));
    }
  }
  recorder_.begin(wants_hidden);
  const bool shows = wants_hidden || model_.config().has_router();
  const auto start = Clock::now();
  MIXTRAL_TRY(const auto logits, model_.forward(arena_, {ids_, rows_, logit_rows_, adapter_rows_},
                                                shows ? &recorder_ : nullptr));
  const TensorView<float> host(logits_.data(), logits.rows(), logits.cols());
  model_.backend().download(logits, host);
  forward_seconds_ = seconds_between(start, Clock::now());
  add<uint64_t>(counters_.step_rows, ids_.size());
  return TensorView<const float>(host);
}

void EngineLoop::use_rows(const ScheduledRows& rows, size_t first_row,
                          TensorView<const float> logits) {
  Sequence& sequence = *rows.sequence;
  RunningRequest& running = *sequence.request;
  if (!running.prompt_is_read) {
    const size_t first_position = sequence.kv.n_tokens() - rows.n_rows;
    const Status added =
        running.add_prompt_rows(recorder_, first_row, rows.n_rows, first_position, logits);
    if (!added) return end(sequence, FinishReason::kError, added.error());
  }
  if (sequence.n_uncomputed() > 0) return;  // there is more to read
  const size_t last_row = first_row + rows.n_rows - 1;
  if (running.prompt_is_read) return write_tokens(sequence, last_row, logits);
  start_answers(sequence, last_row, logits.row_span(logits.rows() - 1));
}

AnswerSetting EngineLoop::answer_setting(const Request& request) const {
  const size_t room = context_len_ - request.prompt_ids.size();
  const size_t max_tokens = request.max_tokens == 0 ? room : std::min(request.max_tokens, room);
  return {tokenizer_, model_.config().vocab_size, max_tokens};
}

// The start of the request's grammar, if it has one.
Result<std::optional<GrammarMatcher>> EngineLoop::match(const Request& request) {
  if (request.grammar == nullptr) return std::optional<GrammarMatcher>();
  if (token_masks_ == nullptr) {
    token_masks_ =
        std::make_unique<TokenMaskCache>(std::make_shared<const TokenVocabulary>(*tokenizer_));
  }
  const auto blank =
      request.strip_leading_space ? LeadingBlank::kDropped : LeadingBlank::kPartOfText;
  return GrammarMatcher::create(*token_masks_, request.grammar, blank);
}

// Another answer to the same prompt.
Sequence& EngineLoop::fork(Sequence& parent) {
  auto owned = std::make_unique<Sequence>(make_kv_sequence());
  Sequence& child = *owned;
  child.ids = parent.ids;
  child.client = parent.client;
  child.salt = parent.salt;
  child.priority = parent.priority;
  child.order = parent.order;
  child.streams = true;
  child.request = parent.request;
  scheduler_.fork(parent, std::move(owned));
  return child;
}

// The prompt is read; all of its answers begin with these logits.
void EngineLoop::start_answers(Sequence& sequence, size_t last_row, std::span<const float> logits) {
  const std::shared_ptr<RunningRequest> running = sequence.request;
  const Request& request = running->request;
  add<uint64_t>(counters_.prompt_tokens, request.prompt_ids.size());
  add<uint64_t>(counters_.cached_tokens, sequence.n_cached);
  running->stream->push(running->finish_prompt(sequence.n_cached, Clock::now()),
                        request.prompt_only);
  if (request.prompt_only) {
    n_answers_.fetch_sub(1, std::memory_order_relaxed);
    scheduler_.remove(sequence, true);
    return;
  }
  const auto matcher = match(request);
  if (!matcher) return end(sequence, FinishReason::kError, matcher.error());
  std::vector<Sequence*> answers = {&sequence};
  while (answers.size() < request.n_answers) answers.push_back(&fork(sequence));
  const AnswerSetting setting = answer_setting(request);
  for (size_t index = 0; index < answers.size(); ++index) {
    answers[index]->answer = std::make_unique<AnswerWriter>(request, index, setting, *matcher);
  }
  for (Sequence* answer : answers) write_token(*answer, last_row, logits);
}

// The last rows are those of the last known token and of each draft after it. What is drawn from a
// row is the answer, as it would be without drafts; as long as it is what was drafted, the next row
// followed the right token.
void EngineLoop::write_tokens(Sequence& sequence, size_t last_row, TensorView<const float> logits) {
  size_t n_after = sequence.n_drafts;
  while (write_token(sequence, last_row - n_after, logits.row_span(logits.rows() - 1 - n_after))) {
    n_after -= 1;
  }
}

// True if the token was drafted and the answer goes on.
bool EngineLoop::write_token(Sequence& sequence, size_t row, std::span<const float> logits) {
  RunningRequest& running = *sequence.request;
  auto token = sequence.answer->next(logits);
  if (!token) {
    end(sequence, FinishReason::kError, std::move(token).error());
    return false;
  }
  if (running.request.routing) token->routing = recorder_.routing(row);
  token->step = counters_.steps.load(std::memory_order_relaxed);
  const int32_t id = token->token.id;
  if (sequence.drafts != nullptr) sequence.drafts->observe(id);
  const bool was_drafted = sequence.add_token(id);
  add<uint64_t>(counters_.drafts_accepted, was_drafted ? 1 : 0);
  add<uint64_t>(counters_.generated_tokens, 1);
  running.stream->push(*std::move(token), false);
  if (!sequence.answer->end()) return was_drafted;
  end(sequence, sequence.answer->end()->reason);
  return false;
}

// Ends one answer, or, before the prompt is read, all of them.
void EngineLoop::end(Sequence& sequence, FinishReason reason, std::optional<Error> error) {
  const auto owned = scheduler_.remove(sequence, !error.has_value());
  RunningRequest& running = *owned->request;
  if (owned->answer != nullptr) {
    const auto& own_end = owned->answer->end();
    AnswerEnd event = own_end ? *own_end : owned->answer->end_early(reason);
    event.error = std::move(error);
    event.seconds = seconds_between(running.first_logits, Clock::now());
    return send_end(running, std::move(event));
  }
  for (size_t index = 0; index < owned->n_answers; ++index) {
    AnswerEnd event;
    event.answer = index;
    event.reason = reason;
    event.error = error;
    send_end(running, std::move(event));
  }
}

void EngineLoop::send_end(RunningRequest& running, AnswerEnd event) {
  add<uint64_t>(counters_.finished[static_cast<size_t>(event.reason)], 1);
  running.n_unfinished -= 1;
  n_answers_.fetch_sub(1, std::memory_order_relaxed);
  running.stream->push(std::move(event), running.n_unfinished == 0);
}

void EngineLoop::publish() {
  const auto set = [](auto& counter, auto value) {
    counter.store(value, std::memory_order_relaxed);
  };
  set(counters_.waiting, scheduler_.n_waiting());
  set(counters_.running, scheduler_.n_running());
  set(counters_.pages_used, pool_.n_pages() - pool_.n_free());
  set(counters_.pages_cached, pool_.n_reusable());
  set(counters_.preemptions, scheduler_.n_preemptions());
}

EngineStats EngineLoop::stats() const {
  const auto get = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  EngineStats stats;
  stats.waiting = get(counters_.waiting);
  stats.running = get(counters_.running);
  stats.pages_total = pool_.n_pages();
  stats.pages_used = get(counters_.pages_used);
  stats.pages_cached = get(counters_.pages_cached);
  stats.steps = get(counters_.steps);
  stats.step_rows = get(counters_.step_rows);
  stats.prompt_tokens = get(counters_.prompt_tokens);
  stats.cached_tokens = get(counters_.cached_tokens);
  stats.generated_tokens = get(counters_.generated_tokens);
  stats.requests_accepted = get(counters_.accepted);
  stats.requests_refused = get(counters_.refused);
  for (size_t i = 0; i < stats.answers_finished.size(); ++i) {
    stats.answers_finished[i] = get(counters_.finished[i]);
  }
  stats.preemptions = get(counters_.preemptions);
  stats.drafted_tokens = get(counters_.drafted);
  stats.accepted_draft_tokens = get(counters_.drafts_accepted);
  stats.step_seconds = get(counters_.step_seconds);
  stats.overhead_seconds = get(counters_.overhead_seconds);
  stats.expert_tokens = recorder_.expert_tokens();
  return stats;
}

}  // namespace mixtral
