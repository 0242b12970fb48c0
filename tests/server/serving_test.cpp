// Api and HttpServer together, over real sockets and with several clients at once.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "server/api.h"
#include "server/http_server.h"
#include "support/fake_model.h"

namespace mixtral {
namespace {

using testing::ByteTokenizer;
using testing::fake_model;
using testing::FakeEngine;

class ServingTest : public ::testing::Test {
 protected:
  ServingTest() {
    ServedModel model = fake_model(tokenizer);
    model.submit = [this](Request request) { return engine.submit(std::move(request)); };
    api = std::make_unique<Api>(std::move(model), ApiOptions());
    door.open(*api);
    HttpServerOptions options;
    options.addresses = {{"127.0.0.1", 0, ""}};
    auto listening = HttpServer::listen(
        options,
        [this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
          entrance.load()->handle(std::move(request), std::move(exchange));
        },
        [this](const HttpParseError& error) {
          return entrance.load()->bad_request_response(error);
        });
    EXPECT_TRUE(listening);
    server = std::move(*listening);
    server->start();
    const std::string& url = server->addresses().at(0);
    port = static_cast<uint16_t>(std::strtol(url.c_str() + url.rfind(':') + 1, nullptr, 10));
  }
  ~ServingTest() override { server->stop(); }

  int connect() const {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return socket;
  }
  static void send(int socket, std::string_view body) {
    const std::string text = fmt::format(
        "POST /v1/completions HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
        body.size(), body);
    EXPECT_EQ(::send(socket, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  std::string ask(std::string_view body) const {
    const int socket = connect();
    send(socket, body);
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = ::recv(socket, buffer, sizeof(buffer), 0)) > 0;)
      answer.append(buffer, static_cast<size_t>(n));
    ::close(socket);
    return answer;
  }

  ByteTokenizer tokenizer;
  FakeEngine engine;
  std::unique_ptr<Api> api;
  ApiDoor door;
  std::atomic<ApiDoor*> entrance = &door;
  std::unique_ptr<HttpServer> server;
  uint16_t port = 0;
};

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return condition();
}

TEST_F(ServingTest, AnswersManyClientsAtOnce) {
  std::vector<std::thread> clients;
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([this, i] {
      const std::string answer = ask(fmt::format(
          R"({{"prompt": ["x", "y"], "n": 1, "max_tokens": 5, "stream": {}}})", i % 2 == 0));
      if (i % 2 == 0) {
        EXPECT_NE(answer.find("data: [DONE]"), std::string::npos);
      } else {
        EXPECT_NE(answer.find(R"("text":"abcde")"), std::string::npos) << answer;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(eventually([this] { return server->n_connections() == 0; }));
}

TEST_F(ServingTest, SaysThatTheModelIsLoadedUntilItIs) {
  ApiDoor closed;
  entrance = &closed;
  const std::string early = ask(R"({"prompt": "x", "max_tokens": 5})");
  EXPECT_TRUE(early.starts_with("HTTP/1.1 503 ")) << early;
  EXPECT_NE(early.find(R"("code":"loading")"), std::string::npos) << early;
  EXPECT_NE(early.find("Retry-After: "), std::string::npos) << early;
  EXPECT_NE(early.find("x-request-id: req-"), std::string::npos) << early;
  closed.open(*api);
  EXPECT_NE(ask(R"({"prompt": "x", "max_tokens": 5})").find(R"("text":"abcde")"),
            std::string::npos);
  entrance = &door;
}

TEST_F(ServingTest, TellsOfAnswersThatFail) {
  std::thread neighbour([this] {
    EXPECT_NE(ask(R"({"prompt": "x", "max_tokens": 5})").find(R"("text":"abcde")"),
              std::string::npos);
  });
  const std::string whole = ask(R"({"prompt": "x!"})");
  EXPECT_TRUE(whole.starts_with("HTTP/1.1 500 ")) << whole;
  EXPECT_NE(whole.find(R"("message":"not a number")"), std::string::npos);
  EXPECT_NE(whole.find("x-should-retry: false"), std::string::npos);  // it would fail again
  const std::string stream = ask(R"({"prompt": "x!", "stream": true})");
  const size_t letters = stream.find(R"("text":"c")"), error = stream.find(R"("error":{)");
  const size_t reason = stream.find(R"("finish_reason":"error")"), done = stream.find("[DONE]");
  EXPECT_TRUE(stream.starts_with("HTTP/1.1 200 ")) << stream;
  EXPECT_LT(letters, error) << stream;
  EXPECT_LT(letters, reason) << stream;
  EXPECT_LT(std::max(error, reason), done) << stream;
  EXPECT_TRUE(stream.ends_with("0\r\n\r\n")) << stream;
  neighbour.join();
}

TEST_F(ServingTest, ForgetsClientsThatLeave) {
  for (int i = 0; i < 50; ++i) {
    const int socket = connect();
    send(socket, R"({"prompt": "x", "max_tokens": 2000, "stream": true})");
    if (i % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    const linger at_once = {1, 0};
    if (i % 2 == 0) ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    ::close(socket);
  }
  EXPECT_TRUE(eventually([this] { return server->n_connections() == 0; }));
  EXPECT_EQ(server->n_requests(), 0u);
}

TEST_F(ServingTest, StopsWhileAnswersRun) {
  std::vector<int> sockets;
  for (int i = 0; i < 8; ++i) {
    sockets.push_back(connect());
    send(sockets.back(), R"({"prompt": "x", "max_tokens": 2000})");
  }
  EXPECT_TRUE(eventually([this] { return server->n_requests() == 8; }));
  server->stop();
  EXPECT_EQ(server->n_connections(), 0u);
  for (const int socket : sockets) ::close(socket);
}

TEST_F(ServingTest, LetsAnswersEndWhileDraining) {
  const int idle = connect();
  const int socket = connect();
  send(socket, R"({"prompt": "x", "max_tokens": 500})");
  EXPECT_TRUE(eventually([this] { return server->n_requests() == 1; }));
  api->drain();
  server->drain();
  EXPECT_NE(ask(R"({"prompt": "x"})").find("503 Service Unavailable"), std::string::npos);
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = ::recv(socket, buffer, sizeof(buffer), 0)) > 0;)
    answer.append(buffer, static_cast<size_t>(n));
  EXPECT_NE(answer.find("200 OK"), std::string::npos);
  EXPECT_EQ(::recv(idle, buffer, sizeof(buffer), 0), 0);
  ::close(socket);
  ::close(idle);
}

}  // namespace
}  // namespace mixtral
