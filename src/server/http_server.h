// Sockets and threads: listens on several addresses and gives each client a Connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "server/connection.h"

namespace mixtral {

struct ListenAddress {
  std::string host;       ///< an IPv4 or an IPv6 address, or a name: all addresses it stands for
  uint16_t port = 0;      ///< 0: any that is free
  std::string unix_path;  ///< not empty: a Unix socket, and nothing of the above
};

struct HttpServerOptions {
  std::vector<ListenAddress> addresses;
  std::string tls_cert, tls_key;  ///< PEM files, both or neither; not for Unix sockets
  size_t n_threads = 2;
  size_t max_connections = 4096;  ///< further ones wait until one closes
  ConnectionOptions connection;
};

/// Thread-safe. The handler runs on the server's threads, for one connection at a time each.
class HttpServer {
 public:
  /// Fails, naming the address or file, if it cannot be listened on or used.
  static Result<std::unique_ptr<HttpServer>> listen(
      const HttpServerOptions& options, HttpHandler handler,
      std::function<HttpResponse(const HttpParseError& error)> on_bad_request);
  /// Stops.
  ~HttpServer();

  /// What clients may write: "http://127.0.0.1:8080", "unix:/run/mixtral.sock".
  const std::vector<std::string>& addresses() const;
  void start();
  /// Connections close as soon as no request of theirs is being answered; new ones are taken for
  /// one request each.
  void drain();
  size_t n_connections() const;
  size_t n_requests() const;  ///< being answered
  /// Closes everything at once and ends the threads.
  void stop();

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mixtral
