#include "server/connection.h"

#include <gtest/gtest.h>

#include <deque>

namespace mixtral {
namespace {

// A socket in memory: the test is the client, and time passes when it says so.
struct FakeSocket {
  std::string sent;  // by the server
  bool closed = false, sending_shut_down = false, reads_nothing = false;
  std::deque<std::function<void()>> tasks;
  std::span<char> into;
  std::function<void(bool, size_t)> reader;
  std::function<void(bool)> writer;
  std::function<void()> timer;

  void run() {
    while (!tasks.empty()) {
      auto task = std::move(tasks.front());
      tasks.pop_front();
      task();
    }
  }
  void receive(std::string_view data) {
    run();
    while (!data.empty() && reader) {
      const size_t n = std::min(into.size(), data.size());
      std::copy_n(data.begin(), n, into.begin());
      data.remove_prefix(n);
      std::exchange(reader, nullptr)(true, n);
      run();
    }
  }
  void hang_up() {
    if (reader) std::exchange(reader, nullptr)(false, 0);
    run();
  }
  void let_time_pass() {
    if (timer) std::exchange(timer, nullptr)();
    run();
  }
};

class FakeTransport : public Transport {
 public:
  explicit FakeTransport(FakeSocket& socket) : socket_(socket) {}
  void read_some(std::span<char> into, std::function<void(bool, size_t)> done) override {
    socket_.into = into;
    socket_.reader = std::move(done);
  }
  void write(std::string_view data, std::function<void(bool)> done) override {
    if (socket_.reads_nothing) {
      socket_.writer = std::move(done);
      return;
    }
    socket_.sent += data;
    socket_.tasks.push_back([done = std::move(done)] { done(true); });
  }
  void start_timer(std::chrono::milliseconds, std::function<void()> due) override {
    socket_.timer = std::move(due);
  }
  void cancel_timer() override { socket_.timer = nullptr; }
  void post(std::function<void()> task) override { socket_.tasks.push_back(std::move(task)); }
  void shut_down_sending() override { socket_.sending_shut_down = true; }
  void close() override {
    socket_.closed = true;
    if (socket_.reader) {
      socket_.tasks.push_back(
          [reader = std::exchange(socket_.reader, nullptr)] { reader(false, 0); });
    }
    if (socket_.writer) {
      socket_.tasks.push_back([writer = std::exchange(socket_.writer, nullptr)] { writer(false); });
    }
  }
  std::string peer() const override { return "1.2.3.4"; }

 private:
  FakeSocket& socket_;
};

class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() {
    context.handler = [this](HttpRequest request, std::shared_ptr<Exchange> exchange) {
      requests.push_back(std::move(request));
      exchanges.push_back(std::move(exchange));
    };
    context.on_bad_request = [](const HttpParseError& error) {
      HttpResponse response;
      response.status = error.status;
      return response;
    };
    std::make_shared<Connection>(std::make_unique<FakeTransport>(socket), context)->start();
    socket.run();
  }
  ~ConnectionTest() override {
    exchanges.clear();
    socket.hang_up();
    socket.timer = nullptr;
    socket.run();
    EXPECT_EQ(context.n_connections, 0u);
    EXPECT_EQ(context.n_requests, 0u);
  }
  void answer(size_t i, std::string body) {
    HttpResponse response;
    response.body = std::move(body);
    exchanges[i]->send(std::move(response));
    socket.run();
  }

  FakeSocket socket;
  ConnectionContext context;
  std::vector<HttpRequest> requests;
  std::vector<std::shared_ptr<Exchange>> exchanges;
};

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\n\r\n";

TEST_F(ConnectionTest, AnswersOneRequestAfterAnother) {
  socket.receive(std::string(kGet) + "GET /b HTTP/1.1\r\n\r\n");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].peer, "1.2.3.4");
  answer(0, "first");
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[1].path, "/b");
  answer(1, "second");
  EXPECT_LT(socket.sent.find("first"), socket.sent.find("second"));
  EXPECT_FALSE(socket.closed);
}

TEST_F(ConnectionTest, TellsTheHandlerThatTheClientLeft) {
  bool left = false;
  socket.receive(kGet);
  exchanges[0]->on_closed([&] { left = true; });
  socket.hang_up();
  EXPECT_TRUE(left);
  EXPECT_EQ(context.n_requests, 0u);
  answer(0, "too late");
  EXPECT_EQ(socket.sent, "");
}

TEST_F(ConnectionTest, TellsAHandlerThatAsksTooLate) {
  bool left = false;
  socket.receive(kGet);
  socket.hang_up();
  exchanges[0]->on_closed([&] { left = true; });
  EXPECT_TRUE(left);
}

TEST_F(ConnectionTest, StreamsInChunksWithPingsInSilence) {
  socket.receive(kGet);
  exchanges[0]->begin_stream({}, "ping");
  exchanges[0]->write("abc");
  socket.run();
  socket.let_time_pass();
  exchanges[0]->end_stream();
  socket.run();
  EXPECT_NE(socket.sent.find("3\r\nabc\r\n4\r\nping\r\n0\r\n\r\n"), std::string::npos);
  EXPECT_FALSE(socket.closed);
}

TEST_F(ConnectionTest, EndsStreamsOfOldClientsWithTheConnection) {
  socket.receive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  exchanges[0]->begin_stream({}, "ping");
  exchanges[0]->write("abc");
  exchanges[0]->end_stream();
  socket.run();
  EXPECT_EQ(socket.sent.find("Transfer-Encoding"), std::string::npos);
  EXPECT_NE(socket.sent.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(socket.sent.ends_with("\r\n\r\nabc"));
  EXPECT_TRUE(socket.sending_shut_down);
}

TEST_F(ConnectionTest, GivesUpOnAClientThatReadsNothing) {
  bool left = false;
  socket.reads_nothing = true;
  socket.receive(kGet);
  exchanges[0]->on_closed([&] { left = true; });
  exchanges[0]->begin_stream({}, "");
  const std::string kilobyte(1024, 'x');
  size_t n_kilobytes = 0;
  while (!left && n_kilobytes < 1024) {
    exchanges[0]->write(kilobyte);
    ++n_kilobytes;
  }
  EXPECT_TRUE(left);
  EXPECT_NEAR(static_cast<double>(n_kilobytes), 257, 3);
}

TEST_F(ConnectionTest, DoesNotWaitForeverForARequest) {
  socket.receive("GET /a HT");
  socket.let_time_pass();
  EXPECT_TRUE(socket.sent.starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(socket.sending_shut_down);
}

TEST_F(ConnectionTest, ClosesIdleConnectionsWithoutAWord) {
  socket.let_time_pass();
  EXPECT_TRUE(socket.closed);
  EXPECT_EQ(socket.sent, "");
}

TEST_F(ConnectionTest, LeavesBodiesOutOfAnswersToHead) {
  socket.receive("HEAD / HTTP/1.1\r\n\r\n");
  answer(0, "body");
  EXPECT_NE(socket.sent.find("Content-Length: 4"), std::string::npos);
  EXPECT_TRUE(socket.sent.ends_with("\r\n\r\n"));
}

TEST_F(ConnectionTest, ClosesAfterTheAnswerWhileDraining) {
  socket.receive(kGet);
  context.draining = true;
  answer(0, "last");
  EXPECT_TRUE(socket.sending_shut_down);
}

TEST_F(ConnectionTest, BoundsTheBodiesOfAllConnectionsTogether) {
  context.options.all_body_bytes = 1000;
  context.n_body_bytes = 900;  // of others
  socket.receive("POST / HTTP/1.1\r\nContent-Length: 500\r\n\r\n" + std::string(99, 'x'));
  EXPECT_EQ(context.n_body_bytes, 999u);
  socket.receive("xx");
  EXPECT_TRUE(socket.sent.starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(context.n_body_bytes, 900u);
}

TEST_F(ConnectionTest, AnswersBytesThatAreNoRequest) {
  socket.receive("hello\r\n\r\n");
  EXPECT_TRUE(socket.sent.starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(requests.empty());
}

}  // namespace
}  // namespace mixtral
