#include "http_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "io/quoted.h"

namespace mixtral {
namespace {

class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

Result<Socket> connect_to(const ServerUrl& server) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(server.host.c_str(), server.port.c_str(), &hints, &found);
  if (code != 0) return fail(ErrorCode::kNotFound, "{}: {}", server.host, ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
  int error = 0;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Socket socket(::socket(one->ai_family, one->ai_socktype, one->ai_protocol));
    if (socket.get() >= 0 && ::connect(socket.get(), one->ai_addr, one->ai_addrlen) == 0) {
      const int on = 1;
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      return socket;
    }
    error = errno;
  }
  return fail(ErrorCode::kIo, "no server at {} port {}: {}", server.host, server.port,
              std::strerror(error));
}

Status send_all(const Socket& socket, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::send(socket.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(ErrorCode::kIo, "the server hung up: {}", std::strerror(errno));
    data.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

// The end of a body that comes in chunks, and the bytes in them.
class Body {
 public:
  explicit Body(bool chunked) : chunked_(chunked) {}

  // False if the end has come or `on_data` wants no more.
  bool push(std::string_view data, FunctionRef<bool(std::string_view)> on_data) {
    if (!chunked_) return data.empty() || on_data(data);
    pending_ += data;
    for (;;) {
      const size_t line_end = pending_.find("\r\n");
      if (line_end == std::string::npos) return true;
      size_t size = 0;
      const auto parsed = std::from_chars(pending_.data(), pending_.data() + line_end, size, 16);
      if (parsed.ec != std::errc() || size == 0) return false;
      if (pending_.size() < line_end + 2 + size + 2) return true;
      if (!on_data(std::string_view(pending_).substr(line_end + 2, size))) return false;
      pending_.erase(0, line_end + 2 + size + 2);
    }
  }

 private:
  bool chunked_;
  std::string pending_;
};

std::string request_text(const HttpCall& call) {
  std::string text = fmt::format(
      "{} {}{} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n",
      call.method, call.server.path, call.path, call.server.host, call.server.port,
      call.body.size());
  if (!call.key.empty()) text += fmt::format("Authorization: Bearer {}\r\n", call.key);
  return text + "\r\n" + call.body;
}

unsigned status_of(std::string_view head) {
  unsigned status = 0;
  const size_t space = head.find(' ');
  if (head.starts_with("HTTP/1.") && space != std::string_view::npos)
    std::from_chars(head.data() + space + 1, head.data() + head.size(), status);
  return status;
}

}  // namespace

Result<ServerUrl> parse_server_url(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  const auto refuse = [&] {
    return fail(ErrorCode::kBadInput, "{}: expected http://HOST:PORT", in_quotes(url));
  };
  if (!url.starts_with(kScheme)) return refuse();
  std::string_view rest = std::string_view(url).substr(kScheme.size());
  ServerUrl server;
  const size_t slash = rest.find('/');
  if (slash != std::string_view::npos) server.path = rest.substr(slash);
  while (server.path.ends_with('/')) server.path.pop_back();
  rest = rest.substr(0, slash);
  const size_t colon = rest.rfind(':');
  const bool has_port = colon != std::string_view::npos && rest.find(']', colon) == rest.npos;
  server.port = has_port ? rest.substr(colon + 1) : std::string_view("80");
  server.host = rest.substr(0, has_port ? colon : rest.size());
  if (server.host.starts_with('[') && server.host.ends_with(']'))
    server.host = server.host.substr(1, server.host.size() - 2);
  if (server.host.empty() || server.port.empty()) return refuse();
  return server;
}

Result<HttpReply> call_server(const HttpCall& call, FunctionRef<bool(std::string_view)> on_data) {
  MIXTRAL_TRY(const Socket socket, connect_to(call.server));
  MIXTRAL_TRY(send_all(socket, request_text(call)));
  HttpReply reply;
  std::string head;
  std::optional<Body> body;
  const auto take = [&](std::string_view data) {
    if (reply.status == 200) return on_data(data);
    reply.error_body += data;
    return true;
  };
  char buffer[16384];
  for (;;) {
    const ssize_t n = ::recv(socket.get(), buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EINTR) {
      if (!body || take({})) continue;
      return reply;
    }
    if (n < 0) return fail(ErrorCode::kIo, "the server hung up: {}", std::strerror(errno));
    if (n == 0) break;
    std::string_view data(buffer, static_cast<size_t>(n));
    if (!body) {
      head += data;
      const size_t end = head.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      reply.status = status_of(head);
      body.emplace(head.substr(0, end).find("chunked") != std::string::npos);
      const std::string rest = head.substr(end + 4);
      if (!body->push(rest, take)) return reply;
    } else if (!body->push(data, take)) {
      return reply;
    }
  }
  if (reply.status == 0) return fail(ErrorCode::kIo, "the server hung up without an answer");
  return reply;
}

Result<Json> call_server_json(const HttpCall& call) {
  std::string text;
  MIXTRAL_TRY(const HttpReply reply, call_server(call, [&](std::string_view data) {
                text += data;
                return true;
              }));
  if (reply.status != 200) return fail(ErrorCode::kBadInput, "{}", message_of(reply));
  return parse_json(text, "the server's answer");
}

bool EventReader::push(std::string_view data, FunctionRef<bool(const Json& event)> on_event) {
  pending_ += data;
  for (size_t end; (end = pending_.find("\n\n")) != std::string::npos;) {
    const std::string line = pending_.substr(0, end);
    pending_.erase(0, end + 2);
    constexpr std::string_view kData = "data: ";
    if (!line.starts_with(kData)) continue;
    done_ = line == "data: [DONE]";
    if (done_) return false;
    const auto event = parse_json(std::string_view(line).substr(kData.size()), "an event");
    if (event && !on_event(*event)) return false;
  }
  return true;
}

std::string message_of(const HttpReply& reply) {
  if (const auto json = parse_json(reply.error_body, "error")) {
    if (json->is_object() && json->contains("message") && (*json)["message"].is_string())
      return (*json)["message"].get<std::string>();
  }
  return fmt::format("the server answered with status {}", reply.status);
}

}  // namespace mixtral
