#include "server/api.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <utility>

#include "io/json.h"
#include "server/page.h"
#include "server/random_id.h"

namespace mixtral {

struct Api::Route {
  std::string_view method, path;  ///< without "/v1"
  Handler handler;
  bool takes_tail = false;  ///< everything below the path
  bool needs_key = true;
  bool when_draining = false;
};

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::ptrdiff_t kMaxValues = 1'000'000;  // of a body

// A whole request from the log's and the metrics' point of view.
class WatchedExchange : public Exchange {
 public:
  WatchedExchange(std::shared_ptr<Exchange> inner, ApiContext& context, const HttpRequest& request)
      : inner_(std::move(inner)), context_(context), method_(request.method), path_(request.path) {
    common_.headers.push_back({"x-request-id", request.id});
    common_.headers.push_back({"X-Content-Type-Options", "nosniff"});
    context.options.origins.add_headers(request, common_);
    id_ = request.id;
  }

  void set_route(std::string_view route) { route_ = route; }

  void send(HttpResponse response) override {
    add_headers(response);
    const unsigned status = response.status;
    inner_->send(std::move(response));
    record(status);
  }
  void begin_stream(HttpResponse head, std::string_view ping) override {
    add_headers(head);
    status_ = head.status;
    inner_->begin_stream(std::move(head), ping);
  }
  void write(std::string_view data) override { inner_->write(data); }
  void end_stream() override {
    inner_->end_stream();
    record(status_);
  }
  void on_closed(std::function<void()> closed) override {
    inner_->on_closed([this, closed = std::move(closed)] {
      constexpr unsigned kClientLeft = 499;
      record(kClientLeft);
      closed();
    });
  }
  void post(std::function<void()> task) override { inner_->post(std::move(task)); }

 private:
  void add_headers(HttpResponse& response) const {
    for (const HttpHeader& header : common_.headers) response.headers.push_back(header);
  }

  void record(unsigned status) {
    context_.metrics.add_response(route_, status);
    if (!context_.options.log) return;
    const std::chrono::duration<double, std::milli> took = Clock::now() - started_;
    // The user's words are not in it.
    const Json line = {{"id", id_},
                       {"method", method_},
                       {"route", route_},
                       {"status", status},
                       {"milliseconds", std::round(took.count() * 10) / 10}};
    context_.options.log(json_text(line));
  }

  std::shared_ptr<Exchange> inner_;
  ApiContext& context_;
  std::string method_, path_, id_, route_ = "unknown";
  HttpResponse common_;
  unsigned status_ = 200;
  const Clock::time_point started_ = Clock::now();
};

// A client's own id is taken over if it is fit for a header and a log.
std::string request_id(const HttpRequest& request) {
  constexpr size_t kMaxSize = 128;
  const std::string* given = request.header("x-request-id");
  if (given == nullptr || given->empty() || given->size() > kMaxSize) return random_id("req-");
  for (const char c : *given) {
    if (c < '!' || c > '~') return random_id("req-");
  }
  return *given;
}

// For requests that no endpoint sees.
HttpResponse response_with_id(const ApiError& error, std::string id) {
  HttpResponse response = error_response(error);
  response.headers.push_back({"x-request-id", std::move(id)});
  return response;
}

ApiError http_error(unsigned status, std::string message) {
  ApiError error;
  error.status = status;
  error.message = std::move(message);
  return error;
}

HttpResponse parse_error_response(const HttpParseError& error) {
  const bool overloaded = error.status == 503;
  return response_with_id(overloaded ? not_available("overloaded", error.message)
                                     : http_error(error.status, error.message),
                          random_id("req-"));
}

// No path has two handlers.
std::string allowed_with(std::string_view method) {
  return fmt::format("{}{}, OPTIONS", method, method == "GET" ? ", HEAD" : "");
}

HttpResponse preflight(const HttpRequest& request) {
  HttpResponse response;
  response.status = 204;
  const std::string* headers = request.header("Access-Control-Request-Headers");
  response.headers = {
      {"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
      {"Access-Control-Allow-Headers",
       headers != nullptr ? *headers : "Authorization, Content-Type, x-api-key, x-request-id"},
      {"Access-Control-Max-Age", "600"}};
  return response;
}

// JSON, or what curl says without being told: but a web page can send that to any server unasked.
bool takes_content_type(const HttpRequest& request) {
  const std::string* type = request.header("Content-Type");
  std::string name = type == nullptr ? "" : type->substr(0, type->find(';'));
  name.erase(name.find_last_not_of(" \t") + 1);
  if (equal_ignoring_case(name, "application/json")) return true;
  const bool from_page = request.header("Origin") != nullptr;
  return !from_page &&
         (name.empty() || equal_ignoring_case(name, "application/x-www-form-urlencoded"));
}

}  // namespace

ApiStatus check_key(const ApiContext& context, Call& call) {
  const ApiKeys& keys = context.options.keys;
  if (!keys.needed()) return {};
  const auto key = keys.find(call.http);
  if (!key) {
    ApiError error = http_error(401, "the API key is missing or wrong");
    error.type = "authentication_error";
    error.code = "invalid_api_key";
    error.headers = {{"WWW-Authenticate", "Bearer"}};
    return tl::unexpected(std::move(error));
  }
  call.tenant = fmt::format("key {}", *key);
  return {};
}

Api::Api(ServedModel model, ApiOptions options) : context_(std::move(model), std::move(options)) {}

Api::Target Api::find_target(const HttpRequest& request) const {
  static constexpr Route kRoutes[] = {
      {"GET", "/models", handle_models},
      {"GET", "/models/", handle_model, true},
      {"POST", "/chat/completions", handle_chat},
      {"POST", "/chat/completions/input_tokens", handle_count_tokens},
      {"POST", "/completions", handle_completions},
      {"POST", "/fim/completions", handle_fim},
      {"POST", "/embeddings", handle_embeddings},
      {"GET", "/routing/", handle_routing, true},
      {"POST", "/tokenize", handle_tokenize},
      {"POST", "/detokenize", handle_detokenize},
      {"GET", "/tokenizer_info", handle_tokenizer_info},
      {"POST", "/apply-template", handle_apply_template},
      {"GET", "/health", handle_health, false, false, true},
      {"GET", "/healthz", handle_health, false, false, true},
      {"GET", "/ready", handle_ready, false, false, true},
      {"GET", "/metrics", handle_metrics, false, true, true},
      {"GET", "/version", handle_version, false, true, true},
  };
  static constexpr Route kPage = {"GET", "page", handle_page, false, false, true};

  std::string_view path = request.path;
  const std::string_view prefix = context_.options.path_prefix;
  if (path.starts_with(prefix)) path.remove_prefix(prefix.size());
  const std::string_view method =
      request.method == "HEAD" ? std::string_view("GET") : std::string_view(request.method);
  Target target;
  if (context_.options.page && find_page_file(path) != nullptr) {
    target.allowed = allowed_with("GET");
    if (method == "GET") target.route = &kPage;
    target.tail = path;
    return target;
  }
  if (path.starts_with("/v1/")) path.remove_prefix(3);
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  for (const Route& route : kRoutes) {
    const bool below =
        route.takes_tail && path.size() > route.path.size() && path.starts_with(route.path);
    if (!below && path != route.path) continue;
    target.allowed = allowed_with(route.method);
    if (route.method != method) continue;
    target.route = &route;
    target.tail = path.substr(route.path.size());
  }
  return target;
}

ApiStatus Api::read_body(Call& call) const {
  if (!takes_content_type(call.http))
    return tl::unexpected(http_error(415, "expected Content-Type: application/json"));
  // Each value takes a hundred times the memory of its text, and its time: so first a cheap bound.
  const auto n_commas = std::count(call.http.body.begin(), call.http.body.end(), ',');
  if (n_commas > kMaxValues) {
    return tl::unexpected(
        http_error(413, fmt::format("the body has more than {} values", kMaxValues)));
  }
  auto body = parse_json(call.http.body, "the body");
  if (!body) return tl::unexpected(bad_request("", "{}", body.error().message));
  if (!body->is_object())
    return tl::unexpected(bad_request("", "the body: expected a JSON object"));
  call.body = *std::move(body);
  call.http.body = {};
  return {};
}

ApiStatus Api::no_target(const Target& target, const HttpRequest& request) const {
  constexpr size_t kShownBytes = 200;
  const std::string path = request.path.substr(0, kShownBytes);
  if (!target.allowed.empty()) {
    ApiError error = http_error(405, fmt::format("{} is not for {}", request.method, path));
    error.headers = {{"Allow", target.allowed}};
    return tl::unexpected(std::move(error));
  }
  ApiError error = http_error(404, fmt::format("no such endpoint: {}", path));
  error.type = "not_found_error";
  return tl::unexpected(std::move(error));
}

ApiStatus Api::answer(const Target& target, Call& call) {
  const Route* route = target.route;
  // Who may not ask learns nothing about what there is.
  const bool open =
      route != nullptr &&
      (!route->needs_key || (route->handler == handle_metrics && context_.options.open_metrics));
  if (!open) MIXTRAL_TRY(check_key(context_, call));
  if (route == nullptr) return no_target(target, call.http);
  if (context_.draining && !route->when_draining)
    return tl::unexpected(not_available("draining", "the server ends after its last answers"));
  const auto tail = percent_decode(target.tail);
  if (!tail) return tl::unexpected(bad_request("", "the path is not percent-encoded"));
  call.tail = *tail;
  if (call.http.method == "POST") MIXTRAL_TRY(read_body(call));
  return route->handler(context_, call);
}

void Api::handle(HttpRequest request, std::shared_ptr<Exchange> exchange) {
  request.id = request_id(request);
  const auto watched = std::make_shared<WatchedExchange>(std::move(exchange), context_, request);
  if (request.method == "OPTIONS") return watched->send(preflight(request));
  Call call;
  call.http = std::move(request);
  call.exchange = watched;
  const Target target = find_target(call.http);
  if (target.route != nullptr) watched->set_route(target.route->path);
  ApiStatus status;
  try {
    status = answer(target, call);
  } catch (const std::exception& error) {  // in all likelihood out of memory
    status = tl::unexpected(server_failure(error.what()));
  }
  if (!status) watched->send(error_response(status.error()));
}

HttpResponse Api::bad_request_response(const HttpParseError& error) {
  context_.metrics.add_response("unknown", error.status);
  return parse_error_response(error);
}

void ApiDoor::handle(HttpRequest request, std::shared_ptr<Exchange> exchange) {
  Api* const api = api_.load(std::memory_order_acquire);
  if (api != nullptr) return api->handle(std::move(request), std::move(exchange));
  exchange->send(response_with_id(not_available("loading", "Loading model"), request_id(request)));
}

HttpResponse ApiDoor::bad_request_response(const HttpParseError& error) {
  Api* const api = api_.load(std::memory_order_acquire);
  return api != nullptr ? api->bad_request_response(error) : parse_error_response(error);
}

}  // namespace mixtral
