#include "server/http_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <type_traits>
#include <utility>

namespace mixtral {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using UnixProtocol = asio::local::stream_protocol;
using Socket = asio::generic::stream_protocol::socket;
using TlsStream = asio::ssl::stream<Socket>;
using boost::system::error_code;

constexpr std::chrono::milliseconds kRetryAccept{20};  // no descriptor, or too many connections
constexpr std::chrono::milliseconds kStopPatience{1000};
constexpr std::chrono::seconds kHandshake{10};

Socket& socket_of(Socket& socket) { return socket; }
Socket& socket_of(TlsStream& stream) { return stream.next_layer(); }

// `Stream` is a Socket or a TlsStream whose handshake is done; its executor is a strand.
template <class Stream>
class AsioTransport : public Transport {
 public:
  AsioTransport(Stream stream, std::string peer)
      : stream_(std::move(stream)), timer_(stream_.get_executor()), peer_(std::move(peer)) {}

  void read_some(std::span<char> into, std::function<void(bool, size_t)> done) override {
    stream_.async_read_some(
        asio::buffer(into.data(), into.size()),
        [done = std::move(done)](const error_code& code, size_t n) { done(!code, n); });
  }
  void write(std::string_view data, std::function<void(bool)> done) override {
    asio::async_write(stream_, asio::buffer(data.data(), data.size()),
                      [done = std::move(done)](const error_code& code, size_t) { done(!code); });
  }
  void start_timer(std::chrono::milliseconds after, std::function<void()> due) override {
    timer_.expires_after(after);
    timer_.async_wait([this, id = ++timer_id_, due = std::move(due)](const error_code& code) {
      // `due` keeps this alive; what was cancelled too late must not fire either.
      if (!code && id == timer_id_) due();
    });
  }
  void cancel_timer() override {
    ++timer_id_;
    timer_.cancel();
  }
  void post(std::function<void()> task) override {
    asio::post(stream_.get_executor(), std::move(task));
  }
  void shut_down_sending() override {
    error_code ignored;
    socket_of(stream_).shutdown(Socket::shutdown_send, ignored);
  }
  void close() override {
    error_code ignored;
    socket_of(stream_).close(ignored);
  }
  std::string peer() const override { return peer_; }

 private:
  Stream stream_;
  asio::steady_timer timer_;
  uint64_t timer_id_ = 0;
  std::string peer_;
};

// The peer's address without its port; Unix sockets have none.
std::string peer_of(const tcp::socket& socket) {
  error_code code;
  const auto endpoint = socket.remote_endpoint(code);
  return code ? std::string() : endpoint.address().to_string();
}
std::string peer_of(const UnixProtocol::socket&) { return {}; }

void send_at_once(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
}
void send_at_once(UnixProtocol::socket&) {}

std::string url_of(const tcp::endpoint& endpoint, bool tls) {
  const std::string host = endpoint.address().is_v6() ? "[" + endpoint.address().to_string() + "]"
                                                      : endpoint.address().to_string();
  return fmt::format("{}://{}:{}", tls ? "https" : "http", host, endpoint.port());
}

}  // namespace

struct HttpServer::State {
  explicit State(const HttpServerOptions& given) : options(given) {}

  Status use_tls();
  Status open(const ListenAddress& address);
  Status open_name(const ListenAddress& address);
  error_code open_tcp(const tcp::endpoint& endpoint);
  Status open_unix(const std::string& path);
  template <class Acceptor>
  void accept(Acceptor& acceptor);
  template <class Acceptor>
  void accept_later(Acceptor& acceptor);
  template <class Accepted>
  void take(Accepted socket);
  void handshake(Socket socket, std::string peer);
  void add(std::unique_ptr<Transport> transport);
  std::vector<std::shared_ptr<Connection>> connections_now();

  HttpServerOptions options;
  ConnectionContext context;  // outlives the connections that waiting callbacks hold
  std::optional<asio::ssl::context> tls;
  asio::io_context io;
  std::vector<std::unique_ptr<tcp::acceptor>> tcp_acceptors;
  std::vector<std::unique_ptr<UnixProtocol::acceptor>> unix_acceptors;
  std::vector<std::string> unix_paths;
  std::vector<std::string> addresses;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::vector<std::weak_ptr<Connection>> connections;  // under the mutex
  size_t prune_at = 64;                                // connections, under the mutex
};

Status HttpServer::State::use_tls() {
  error_code code;
  tls.emplace(asio::ssl::context::tls_server);
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                       asio::ssl::context::no_tlsv1_1,
                   code);
  tls->use_certificate_chain_file(options.tls_cert, code);
  if (code) {
    return fail(ErrorCode::kBadInput, "TLS certificate {}: {}", options.tls_cert, code.message());
  }
  tls->use_private_key_file(options.tls_key, asio::ssl::context::pem, code);
  if (code) return fail(ErrorCode::kBadInput, "TLS key {}: {}", options.tls_key, code.message());
  return {};
}

Status HttpServer::State::open(const ListenAddress& address) {
  return address.unix_path.empty() ? open_name(address) : open_unix(address.unix_path);
}

// All that a name stands for: "localhost" is often 127.0.0.1 and ::1, and clients try either. What
// this machine does not have, such as IPv6, is passed over if something else is there.
Status HttpServer::State::open_name(const ListenAddress& address) {
  const auto failed = [&](const error_code& code) {
    return fail(ErrorCode::kIo, "cannot listen on {} port {}: {}", address.host, address.port,
                code.message());
  };
  error_code code;
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(address.host, fmt::format("{}", address.port), tcp::resolver::passive, code);
  if (code) return failed(code);
  std::set<tcp::endpoint> endpoints;  // /etc/hosts may name one twice
  for (const auto& entry : found) endpoints.insert(entry.endpoint());
  uint16_t port = address.port;
  error_code absent = asio::error::host_not_found;
  bool listens = false;
  for (tcp::endpoint endpoint : endpoints) {
    endpoint.port(port);
    code = open_tcp(endpoint);
    if (code == boost::system::errc::address_not_available ||
        code == asio::error::address_family_not_supported) {
      absent = code;
      continue;
    }
    if (code) return failed(code);
    listens = true;
    port = tcp_acceptors.back()->local_endpoint(code).port();  // one port, free or not
  }
  return listens ? Status() : failed(absent);
}

error_code HttpServer::State::open_tcp(const tcp::endpoint& endpoint) {
  error_code code;
  auto acceptor = std::make_unique<tcp::acceptor>(io);
  acceptor->open(endpoint.protocol(), code);
  if (code) return code;
  acceptor->set_option(tcp::acceptor::reuse_address(true), code);
  if (endpoint.protocol() == tcp::v6()) acceptor->set_option(asio::ip::v6_only(true), code);
  acceptor->bind(endpoint, code);
  if (!code) acceptor->listen(tcp::acceptor::max_listen_connections, code);
  if (code) return code;
  addresses.push_back(url_of(acceptor->local_endpoint(code), tls.has_value()));
  tcp_acceptors.push_back(std::move(acceptor));
  return {};
}

Status HttpServer::State::open_unix(const std::string& path) {
  // A socket that a killed server left behind stands in the way; any other file is not ours.
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path.c_str());
  error_code code;
  auto acceptor = std::make_unique<UnixProtocol::acceptor>(io);
  acceptor->open(UnixProtocol(), code);
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return fail(ErrorCode::kBadInput, "cannot listen on {}: a socket's path has at most {} bytes",
                path, sizeof(sockaddr_un{}.sun_path) - 1);
  }
  if (!code) acceptor->bind(UnixProtocol::endpoint(path), code);
  if (!code) acceptor->listen(UnixProtocol::acceptor::max_listen_connections, code);
  if (code) return fail(ErrorCode::kIo, "cannot listen on {}: {}", path, code.message());
  addresses.push_back("unix:" + path);
  unix_paths.push_back(path);
  unix_acceptors.push_back(std::move(acceptor));
  return {};
}

template <class Acceptor>
void HttpServer::State::accept(Acceptor& acceptor) {
  if (context.n_connections >= options.max_connections) return accept_later(acceptor);
  acceptor.async_accept(asio::any_io_executor(asio::make_strand(io)),
                        [this, &acceptor](const error_code& code, auto socket) {
                          if (code == asio::error::operation_aborted) return;
                          if (code) return accept_later(acceptor);
                          take(std::move(socket));
                          accept(acceptor);
                        });
}

template <class Acceptor>
void HttpServer::State::accept_later(Acceptor& acceptor) {
  auto timer = std::make_shared<asio::steady_timer>(io, kRetryAccept);
  timer->async_wait([this, &acceptor, timer](const error_code&) {
    if (acceptor.is_open()) accept(acceptor);
  });
}

template <class Accepted>
void HttpServer::State::take(Accepted socket) {
  std::string peer = peer_of(socket);
  send_at_once(socket);
  if (tls && std::is_same_v<Accepted, tcp::socket>)
    return handshake(Socket(std::move(socket)), std::move(peer));
  add(std::make_unique<AsioTransport<Socket>>(Socket(std::move(socket)), std::move(peer)));
}

void HttpServer::State::handshake(Socket socket, std::string peer) {
  auto stream = std::make_shared<TlsStream>(std::move(socket), *tls);
  auto timer = std::make_shared<asio::steady_timer>(stream->get_executor(), kHandshake);
  timer->async_wait([stream](const error_code& code) {
    error_code ignored;
    if (!code) stream->next_layer().close(ignored);
  });
  stream->async_handshake(
      asio::ssl::stream_base::server,
      [this, stream, timer, peer = std::move(peer)](const error_code& code) {
        timer->cancel();
        if (!code) add(std::make_unique<AsioTransport<TlsStream>>(std::move(*stream), peer));
      });
}

void HttpServer::State::add(std::unique_ptr<Transport> transport) {
  Transport& connected = *transport;
  auto connection = std::make_shared<Connection>(std::move(transport), context);
  {
    const std::lock_guard lock(mutex);
    if (connections.size() >= prune_at) {
      std::erase_if(connections, [](const auto& one) { return one.expired(); });
      prune_at = std::max<size_t>(64, 2 * connections.size());
    }
    connections.push_back(connection);
  }
  connected.post([connection] { connection->start(); });
}

std::vector<std::shared_ptr<Connection>> HttpServer::State::connections_now() {
  std::vector<std::shared_ptr<Connection>> alive;
  const std::lock_guard lock(mutex);
  for (const auto& one : connections) {
    if (auto connection = one.lock()) alive.push_back(std::move(connection));
  }
  return alive;
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(
    const HttpServerOptions& options, HttpHandler handler,
    std::function<HttpResponse(const HttpParseError& error)> on_bad_request) {
  auto state = std::make_unique<State>(options);
  state->context.options = options.connection;
  state->context.handler = std::move(handler);
  state->context.on_bad_request = std::move(on_bad_request);
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return fail(ErrorCode::kBadInput, "TLS needs both a certificate and a key");
  }
  if (!options.tls_cert.empty()) MIXTRAL_TRY(state->use_tls());
  for (const ListenAddress& address : options.addresses) MIXTRAL_TRY(state->open(address));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpServer::~HttpServer() { stop(); }

const std::vector<std::string>& HttpServer::addresses() const { return state_->addresses; }
size_t HttpServer::n_connections() const { return state_->context.n_connections; }
size_t HttpServer::n_requests() const { return state_->context.n_requests; }

void HttpServer::start() {
  for (auto& acceptor : state_->tcp_acceptors) state_->accept(*acceptor);
  for (auto& acceptor : state_->unix_acceptors) state_->accept(*acceptor);
  for (size_t i = 0; i < state_->options.n_threads; ++i)
    state_->threads.emplace_back([this] { state_->io.run(); });
}

void HttpServer::drain() {
  state_->context.draining = true;
  for (const auto& connection : state_->connections_now()) connection->close_when_idle();
}

void HttpServer::stop() {
  if (state_->io.stopped()) return;
  asio::post(state_->io, [this] {
    error_code ignored;
    for (auto& acceptor : state_->tcp_acceptors) acceptor->close(ignored);
    for (auto& acceptor : state_->unix_acceptors) acceptor->close(ignored);
  });
  // Connections end on their own threads, so that nothing of theirs runs during destruction.
  const auto give_up = std::chrono::steady_clock::now() + kStopPatience;
  while (!state_->threads.empty() && state_->context.n_connections > 0 &&
         std::chrono::steady_clock::now() < give_up) {
    for (const auto& connection : state_->connections_now()) connection->close_now();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  state_->io.stop();
  for (std::thread& thread : state_->threads) thread.join();
  state_->threads.clear();
  for (const std::string& path : state_->unix_paths) ::unlink(path.c_str());
}

}  // namespace mixtral
