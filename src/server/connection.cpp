#include "server/connection.h"

#include <utility>

namespace mixtral {
namespace {

constexpr size_t kSliceBytes = size_t{64} << 10;  // of an answer, for each of which there is time
constexpr size_t kReadAheadBytes = size_t{64} << 10;  // of later requests while one is answered
constexpr std::chrono::milliseconds kLinger{2000};
constexpr size_t kLingerBytes = size_t{64} << 20;

}  // namespace

/// The exchange of one request. Cut off from the connection once the answer has ended.
class Connection::Answer : public Exchange {
 public:
  explicit Answer(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

  void send(HttpResponse response) override {
    if (!is_current()) return;
    Connection& to = *connection_;
    std::string data = response_head(response, BodyFraming::kLength, to.keep_alive_);
    if (!to.head_only_) data += response.body;
    to.queue(data);
    to.end_answer();
  }

  void begin_stream(HttpResponse head, std::string_view ping) override {
    if (!is_current()) return;
    Connection& to = *connection_;
    to.streams_ = true;
    to.keep_alive_ = to.keep_alive_ && to.in_chunks_;
    to.ping_ = to.framed(ping);
    to.queue(response_head(head, to.in_chunks_ ? BodyFraming::kChunked : BodyFraming::kClose,
                           to.keep_alive_));
  }

  void write(std::string_view data) override {
    if (!is_current()) return;
    if (connection_->queued_.size() > connection_->context_.options.unread_bytes) {
      connection_->close();  // it calls closed_
      return;
    }
    connection_->queue(connection_->framed(data));
  }

  void end_stream() override {
    if (!is_current()) return;
    if (connection_->in_chunks_) connection_->queue(kLastChunk);
    connection_->end_answer();
  }

  void on_closed(std::function<void()> closed) override {
    if (is_current()) {
      closed_ = std::move(closed);
    } else if (gone_) {
      closed();
    }
  }

  void post(std::function<void()> task) override {
    connection_->transport_->post([self = connection_, task = std::move(task)] { task(); });
  }

  /// The client left.
  void leave() {
    gone_ = true;
    if (auto closed = std::exchange(closed_, nullptr)) closed();
  }
  void end() { closed_ = nullptr; }

 private:
  bool is_current() const { return connection_->answer_.get() == this; }

  std::shared_ptr<Connection> connection_;  // for as long as the handler holds this exchange
  std::function<void()> closed_;
  bool gone_ = false;
};

Connection::Connection(std::unique_ptr<Transport> transport, ConnectionContext& context)
    : transport_(std::move(transport)), context_(context), parser_(context.options.http) {
  ++context_.n_connections;
}

Connection::~Connection() {
  count_body(0);
  --context_.n_connections;
}

void Connection::start() { next_request(); }

void Connection::close_now() {
  transport_->post([self = shared_from_this()] { self->close(); });
}

void Connection::close_when_idle() {
  transport_->post([self = shared_from_this()] {
    if (self->state_ == State::kReading && !self->parser_.started()) self->close();
    self->keep_alive_ = false;
  });
}

void Connection::arm(std::chrono::milliseconds after, void (Connection::*due)()) {
  transport_->start_timer(after, [self = shared_from_this(), due] { ((*self).*due)(); });
}

void Connection::read() {
  if (reading_ || state_ == State::kClosed) return;
  reading_ = true;
  transport_->read_some(chunk_, [self = shared_from_this()](bool good, size_t n_bytes) {
    self->on_read(good, n_bytes);
  });
}

void Connection::on_read(bool good, size_t n_bytes) {
  reading_ = false;
  if (state_ == State::kClosed) return;
  if (!good) return close();
  if (state_ == State::kLingering) {
    lingered_bytes_ += n_bytes;
    return lingered_bytes_ > kLingerBytes ? close() : read();
  }
  unparsed_.append(chunk_.data(), n_bytes);
  if (state_ == State::kReading) return parse();
  // While an answer is on its way, reading tells whether the client is still there.
  if (unparsed_.size() < kReadAheadBytes) read();
}

void Connection::parse() {
  unparsed_.erase(0, parser_.feed(unparsed_));
  if (parser_.error()) return refuse(*parser_.error());
  count_body(parser_.n_body_bytes());
  if (context_.n_body_bytes > context_.options.all_body_bytes)
    return refuse({503, "too many large requests are on their way"});
  if (parser_.done()) return dispatch();
  if (unparsed_.size() > context_.options.http.header_bytes) {
    return refuse({431, "a line of the headers is too long"});
  }
  watch_reading();
  if (parser_.head_done() && parser_.wants_continue() && !std::exchange(continued_, true))
    queue("HTTP/1.1 100 Continue\r\n\r\n");
  read();
}

// The clock starts with the first byte, and again with the body.
void Connection::watch_reading() {
  if (parser_.head_done()) {
    if (!std::exchange(body_clock_, true)) arm(context_.options.body, &Connection::on_late);
  } else if (parser_.started() && !std::exchange(head_clock_, true)) {
    arm(context_.options.head, &Connection::on_late);
  }
}

void Connection::dispatch() {
  transport_->cancel_timer();
  state_ = State::kAnswering;
  count_body(0);
  keep_alive_ = keep_alive_ && parser_.keep_alive() && !context_.draining;
  in_chunks_ = parser_.takes_chunks();
  HttpRequest request = parser_.take();
  request.peer = transport_->peer();
  head_only_ = request.method == "HEAD";
  counted_ = true;
  ++context_.n_requests;
  answer_ = std::make_shared<Answer>(shared_from_this());
  read();
  context_.handler(std::move(request), answer_);
}

void Connection::refuse(const HttpParseError& error) {
  count_body(0);
  const HttpResponse response = context_.on_bad_request(error);
  parser_ = HttpParser(context_.options.http);  // with what it holds of a body, and perhaps `error`
  keep_alive_ = false;
  ended_ = true;
  state_ = State::kAnswering;
  queue(response_head(response, BodyFraming::kLength, false) + response.body);
}

void Connection::queue(std::string_view data) {
  if (state_ == State::kClosed) return;
  queued_ += data;
  write_next();
}

void Connection::write_next() {
  if (writing_ || state_ == State::kClosed) return;
  if (written_bytes_ == outgoing_.size()) {
    if (queued_.empty()) return;
    outgoing_ = std::exchange(queued_, {});
    written_bytes_ = 0;
  }
  writing_ = true;
  if (state_ == State::kAnswering) arm(context_.options.write, &Connection::on_stuck);
  const std::string_view slice = std::string_view(outgoing_).substr(written_bytes_, kSliceBytes);
  written_bytes_ += slice.size();
  transport_->write(slice, [self = shared_from_this()](bool good) { self->on_written(good); });
}

void Connection::on_written(bool good) {
  writing_ = false;
  if (state_ == State::kClosed) return;
  if (!good) return close();
  write_next();
  if (writing_ || state_ != State::kAnswering) return;
  outgoing_ = {};
  written_bytes_ = 0;
  if (ended_) {
    count_out();
    return keep_alive_ && !context_.draining ? next_request() : linger();
  }
  if (streams_) {
    arm(context_.options.ping, &Connection::on_silence);
  } else {
    transport_->cancel_timer();
  }
}

std::string Connection::framed(std::string_view data) const {
  return in_chunks_ ? chunk_of(data) : std::string(data);
}

void Connection::end_answer() {
  ended_ = true;
  answer_->end();
  answer_ = nullptr;  // what the handler still does with it comes to nothing
}

void Connection::count_out() {
  if (std::exchange(counted_, false)) --context_.n_requests;
}

void Connection::count_body(size_t n_bytes) {
  context_.n_body_bytes += n_bytes - n_body_bytes_;
  n_body_bytes_ = n_bytes;
}

void Connection::next_request() {
  parser_ = HttpParser(context_.options.http);
  state_ = State::kReading;
  ended_ = streams_ = continued_ = head_clock_ = body_clock_ = false;
  ping_.clear();
  arm(context_.options.idle, &Connection::on_idle);
  if (unparsed_.empty()) return read();
  // Not from here: many small requests at once would otherwise pile up calls.
  transport_->post([self = shared_from_this()] {
    if (self->state_ == State::kReading) self->parse();
  });
}

void Connection::on_idle() { close(); }

void Connection::on_late() {
  refuse({408, parser_.head_done() ? "the body did not come in time"
                                   : "the headers did not come in time"});
}

void Connection::on_stuck() { close(); }

void Connection::on_silence() {
  if (state_ == State::kAnswering && !ended_) queue(ping_);
}

// An answer is lost if the socket is closed while the client still sends.
void Connection::linger() {
  state_ = State::kLingering;
  transport_->shut_down_sending();
  arm(kLinger, &Connection::close);
  read();
}

void Connection::close() {
  if (std::exchange(state_, State::kClosed) == State::kClosed) return;
  transport_->cancel_timer();
  transport_->close();
  count_out();
  if (answer_ == nullptr) return;
  const auto answer = std::exchange(answer_, nullptr);
  answer->leave();
}

}  // namespace mixtral
