// The engine's side of one HTTP request: one prompt or many, their events in order of arrival.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "server/api_context.h"

namespace mixtral {

/// What becomes of the events. All calls come on the exchange's thread; none after finish() or
/// fail(), nor once the client has left.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  /// The first prompt is in the queue: from here on the status can be sent.
  virtual void begin() {}
  virtual void on_prompt(size_t prompt, PromptRead read) = 0;
  virtual void on_token(size_t prompt, AnswerToken token) = 0;
  virtual void on_end(size_t prompt, AnswerEnd end) = 0;
  virtual void finish() = 0;
  virtual void fail(const ApiError& error) = 0;
};

/// Hands requests to the engine, several at a time, and their events to a sink. The exchange keeps
/// it alive; if the client leaves, everything is cancelled.
class Job : public std::enable_shared_from_this<Job> {
 public:
  /// Fails, having sent nothing, if the engine refuses the first request.
  static ApiStatus start(ApiContext& context, std::shared_ptr<Exchange> exchange,
                         std::vector<Request> requests, std::unique_ptr<AnswerSink> sink);

 private:
  struct Running {
    size_t prompt;
    Stream stream;
  };
  Job(ApiContext& context, std::shared_ptr<Exchange> exchange, std::vector<Request> requests,
      std::unique_ptr<AnswerSink> sink);
  ApiStatus submit_next();
  void submit_more();
  void watch(Stream& stream);
  void pump();
  bool pass_on(size_t prompt, StreamEvent event);
  void end_with(const ApiError& error);
  void cancel();

  /// What the engine's thread holds: never the last owner of a job.
  struct Waker {
    std::weak_ptr<Job> job;
    std::shared_ptr<Exchange> exchange;
    std::atomic<bool> waiting = false;
  };

  ApiContext& context_;
  std::shared_ptr<Exchange> exchange_;
  std::shared_ptr<void> place_;  // among the client's requests
  std::vector<Request> requests_;
  size_t next_ = 0;  // the first request that the engine has not been given
  std::vector<Running> running_;
  std::unique_ptr<AnswerSink> sink_;
  std::shared_ptr<Waker> waker_;
  bool over_ = false;
};

}  // namespace mixtral
