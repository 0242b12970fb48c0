#include "engine/stream.h"

#include <utility>

#include "engine/stream_state.h"

namespace mixtral {

void StreamState::push(StreamEvent event, bool is_last) {
  const std::lock_guard lock(mutex_);
  events_.push_back(std::move(event));
  ended_ = is_last;
  news_.notify_all();
  if (events_.size() == 1 && ready_) ready_();
}

std::optional<StreamEvent> StreamState::take() {
  if (events_.empty()) return {};
  StreamEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<StreamEvent> StreamState::next() {
  std::unique_lock lock(mutex_);
  news_.wait(lock, [this] { return ended_ || !events_.empty(); });
  return take();
}

std::optional<StreamEvent> StreamState::next_until(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  news_.wait_until(lock, deadline, [this] { return ended_ || !events_.empty(); });
  return take();
}

std::optional<StreamEvent> StreamState::try_next() {
  const std::lock_guard lock(mutex_);
  return take();
}

bool StreamState::done() const {
  const std::lock_guard lock(mutex_);
  return ended_ && events_.empty();
}

void StreamState::on_ready(std::function<void()> ready) {
  const std::lock_guard lock(mutex_);
  ready_ = std::move(ready);
  if (ready_ && !events_.empty()) ready_();
}

Stream::Stream(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}
Stream::Stream(Stream&&) noexcept = default;

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Stream::~Stream() {
  if (state_ == nullptr) return;
  state_->cancel();
  state_->on_ready({});
}

std::optional<StreamEvent> Stream::next() { return state_->next(); }
std::optional<StreamEvent> Stream::next_until(Clock::time_point deadline) {
  return state_->next_until(deadline);
}
std::optional<StreamEvent> Stream::try_next() { return state_->try_next(); }
bool Stream::done() const { return state_->done(); }
void Stream::cancel() { state_->cancel(); }
void Stream::on_ready(std::function<void()> ready) { state_->on_ready(std::move(ready)); }

}  // namespace mixtral
