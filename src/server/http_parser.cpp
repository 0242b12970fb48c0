#include "server/http_parser.h"

#include <fmt/format.h>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace mixtral {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

HttpParseError explain(const beast::error_code& code, const HttpLimits& limits) {
  if (code == http::error::body_limit) {
    return {413, fmt::format("the body has more than {} bytes", limits.body_bytes)};
  }
  if (code == http::error::header_limit || code == http::error::buffer_overflow) {
    return {431, fmt::format("the headers have more than {} bytes", limits.header_bytes)};
  }
  if (code == http::error::bad_version) return {505, "expected HTTP/1.1"};
  return {400, fmt::format("not an HTTP request: {}", code.message())};
}

// "http://host/path" is a legal target too.
std::string_view without_authority(std::string_view target) {
  const size_t scheme = target.find("://");
  if (target.starts_with('/') || scheme == std::string_view::npos) return target;
  const size_t path = target.find('/', scheme + 3);
  return path == std::string_view::npos ? "/" : target.substr(path);
}

}  // namespace

struct HttpParser::State {
  explicit State(const HttpLimits& given) : limits(given) {
    parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes));
    parser.body_limit(limits.body_bytes);
    parser.eager(true);
  }

  HttpLimits limits;
  http::request_parser<http::string_body> parser;
  std::optional<HttpParseError> error;
  bool started = false;
};

HttpParser::HttpParser(const HttpLimits& limits) : state_(std::make_unique<State>(limits)) {}
HttpParser::HttpParser(HttpParser&&) noexcept = default;
HttpParser& HttpParser::operator=(HttpParser&&) noexcept = default;
HttpParser::~HttpParser() = default;

size_t HttpParser::feed(std::string_view data) {
  size_t n_taken = 0;
  // Empty lines between requests are allowed, and belong to none.
  while (!state_->started && n_taken < data.size() &&
         (data[n_taken] == '\r' || data[n_taken] == '\n')) {
    ++n_taken;
  }
  if (n_taken < data.size()) state_->started = true;
  while (n_taken < data.size() && !state_->parser.is_done()) {
    const std::string_view rest = data.substr(n_taken);
    beast::error_code code;
    const size_t n = state_->parser.put(boost::asio::const_buffer(rest.data(), rest.size()), code);
    n_taken += n;
    if (code == http::error::need_more) break;
    if (code) {
      state_->error = explain(code, state_->limits);
      break;
    }
    if (n == 0) break;
  }
  return n_taken;
}

bool HttpParser::started() const { return state_->started; }
bool HttpParser::head_done() const { return state_->parser.is_header_done(); }
bool HttpParser::done() const { return state_->parser.is_done(); }
size_t HttpParser::n_body_bytes() const { return state_->parser.get().body().size(); }
const std::optional<HttpParseError>& HttpParser::error() const { return state_->error; }
bool HttpParser::keep_alive() const { return state_->parser.keep_alive(); }
bool HttpParser::takes_chunks() const { return state_->parser.get().version() >= 11; }

bool HttpParser::wants_continue() const {
  return takes_chunks() &&
         beast::iequals(state_->parser.get()[http::field::expect], "100-continue");
}

HttpRequest HttpParser::take() {
  auto message = state_->parser.release();
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string whole(message.target());
  std::string_view target = without_authority(whole);
  target = target.substr(0, target.find('#'));
  const size_t question = target.find('?');
  request.path = std::string(target.substr(0, question));
  if (question != std::string_view::npos) request.query = std::string(target.substr(question + 1));
  for (const auto& field : message) {
    request.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  request.body = std::move(message.body());
  return request;
}

}  // namespace mixtral
