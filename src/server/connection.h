// One connection: reads requests, hands them on one at a time, writes their answers, watches the
// clock and whether the client is still there.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/exchange.h"
#include "server/http_parser.h"
#include "server/transport.h"

namespace mixtral {

struct ConnectionOptions {
  HttpLimits http;
  std::chrono::milliseconds idle{75'000};     ///< until the next request begins
  std::chrono::milliseconds head{10'000};     ///< from a request's first byte to its last header
  std::chrono::milliseconds body{120'000};    ///< for the whole body
  std::chrono::milliseconds write{30'000};    ///< without the client taking 64 KiB of an answer
  std::chrono::milliseconds ping{15'000};     ///< of silence in a stream
  size_t all_body_bytes = size_t{512} << 20;  ///< of requests that all connections are reading
  size_t unread_bytes = size_t{256} << 10;    ///< of a stream that may wait for the client
};

/// What connections share with their server.
struct ConnectionContext {
  ConnectionOptions options;
  HttpHandler handler;
  /// The answer to bytes that are no request, or not in time.
  std::function<HttpResponse(const HttpParseError& error)> on_bad_request;
  std::atomic<bool> draining = false;  ///< no request is taken after the one that runs
  std::atomic<size_t> n_connections = 0, n_requests = 0, n_body_bytes = 0;  ///< now
};

/// Lives as long as its transport calls back. `context` must outlive it.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::unique_ptr<Transport> transport, ConnectionContext& context);
  ~Connection();
  void start();
  /// From any thread: closes now, whatever runs.
  void close_now();
  /// From any thread: closes unless a request is being answered, else after its answer.
  void close_when_idle();

 private:
  class Answer;
  enum class State { kReading, kAnswering, kLingering, kClosed };

  void read();
  void on_read(bool good, size_t n_bytes);
  void parse();
  void watch_reading();
  void dispatch();
  void refuse(const HttpParseError& error);
  void queue(std::string_view data);
  void write_next();
  void on_written(bool good);
  void arm(std::chrono::milliseconds after, void (Connection::*due)());
  void on_idle();
  void on_late();
  void on_stuck();
  void on_silence();
  std::string framed(std::string_view data) const;
  void end_answer();
  void count_out();
  void count_body(size_t n_bytes);
  void next_request();
  void linger();
  void close();

  std::unique_ptr<Transport> transport_;
  ConnectionContext& context_;
  HttpParser parser_;
  State state_ = State::kReading;
  bool reading_ = false, writing_ = false, keep_alive_ = true, ended_ = false, streams_ = false;
  bool continued_ = false, head_only_ = false, in_chunks_ = true, head_clock_ = false,
       body_clock_ = false;
  bool counted_ = false;           // among n_requests
  std::array<char, 8192> chunk_;   // being read into
  std::string unparsed_;           // read, not yet parsed
  std::string outgoing_, queued_;  // being written; next
  size_t written_bytes_ = 0;       // of outgoing_
  size_t lingered_bytes_ = 0;
  size_t n_body_bytes_ = 0;  // among the context's
  std::string ping_;
  std::shared_ptr<Answer> answer_;
};

}  // namespace mixtral
