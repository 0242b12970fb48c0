#include "server/job.h"

#include <utility>

namespace mixtral {
namespace {

// Of one HTTP request; the others wait here, not in the engine's queue.
constexpr size_t kMaxRunning = 16;

}  // namespace

Job::Job(ApiContext& context, std::shared_ptr<Exchange> exchange, std::vector<Request> requests,
         std::unique_ptr<AnswerSink> sink)
    : context_(context),
      exchange_(std::move(exchange)),
      requests_(std::move(requests)),
      sink_(std::move(sink)),
      waker_(std::make_shared<Waker>()) {
  waker_->exchange = exchange_;
}

ApiStatus Job::start(ApiContext& context, std::shared_ptr<Exchange> exchange,
                     std::vector<Request> requests, std::unique_ptr<AnswerSink> sink) {
  const auto job = std::shared_ptr<Job>(
      new Job(context, std::move(exchange), std::move(requests), std::move(sink)));
  job->waker_->job = job;
  job->place_ = context.clients.enter(job->requests_.front().client);
  if (job->place_ == nullptr) return tl::unexpected(too_many_requests());
  MIXTRAL_TRY(job->submit_next());
  job->sink_->begin();
  job->exchange_->on_closed([job] { job->cancel(); });
  job->watch(job->running_.front().stream);
  job->submit_more();
  return {};
}

ApiStatus Job::submit_next() {
  auto stream = context_.model.submit(requests_[next_]);
  if (!stream) return tl::unexpected(from_engine(stream.error()));
  running_.push_back({next_, std::move(*stream)});
  requests_[next_++].prompt_ids = {};
  return {};
}

// A full queue only means to try again after the next end of one of the own.
void Job::submit_more() {
  while (!over_ && next_ < requests_.size() && running_.size() < kMaxRunning) {
    const ApiStatus submitted = submit_next();
    if (!submitted) {
      if (submitted.error().status == 429 && !running_.empty()) return;
      return end_with(submitted.error());
    }
    watch(running_.back().stream);
  }
}

void Job::watch(Stream& stream) {
  stream.on_ready([waker = waker_] {
    if (waker->waiting.exchange(true)) return;
    waker->exchange->post([waker] {
      waker->waiting = false;
      if (const auto job = waker->job.lock()) job->pump();
    });
  });
}

void Job::pump() {
  size_t kept = 0;
  for (size_t i = 0; i < running_.size() && !over_; ++i) {
    while (auto event = running_[i].stream.try_next()) {
      if (!pass_on(running_[i].prompt, *std::move(event))) break;
    }
    if (over_ || running_[i].stream.done()) continue;
    if (kept != i) running_[kept] = std::move(running_[i]);
    ++kept;
  }
  if (over_) return running_.clear();
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(kept), running_.end());
  submit_more();
  if (over_ || !running_.empty()) return;
  over_ = true;
  sink_->finish();
}

// False if that was the end of everything.
bool Job::pass_on(size_t prompt, StreamEvent event) {
  if (auto* read = std::get_if<PromptRead>(&event)) {
    context_.metrics.add_time(Metrics::Span::kQueue, read->queue_seconds);
    sink_->on_prompt(prompt, std::move(*read));
  } else if (auto* token = std::get_if<AnswerToken>(&event)) {
    sink_->on_token(prompt, std::move(*token));
  } else {
    AnswerEnd& end = std::get<AnswerEnd>(event);
    if (end.reason == FinishReason::kError) {
      end_with(end.error ? from_engine(*end.error) : server_failure("the answer failed"));
    } else if (end.reason == FinishReason::kCancelled) {
      end_with(not_available("stopping", "the server is being stopped"));
    } else {
      sink_->on_end(prompt, std::move(end));
    }
  }
  return !over_;
}

void Job::end_with(const ApiError& error) {
  if (std::exchange(over_, true)) return;
  for (Running& one : running_) one.stream.cancel();
  sink_->fail(error);
}

// Perhaps from inside pump(), when a sink finds that the client is gone.
void Job::cancel() {
  if (std::exchange(over_, true)) return;
  context_.metrics.add_disconnect();
  for (Running& one : running_) one.stream.cancel();
}

}  // namespace mixtral
