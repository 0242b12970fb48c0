// The endpoints: from an HTTP request to the handler that answers it.
#pragma once

#include <atomic>

#include "server/api_context.h"
#include "server/http_parser.h"

namespace mixtral {

/// Thread-safe. Routes, keys, origins, JSON, request ids, metrics and the log are its matter; the
/// rest is the handlers'.
class Api {
 public:
  Api(ServedModel model, ApiOptions options);

  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange);
  /// The answer to bytes that are no request.
  HttpResponse bad_request_response(const HttpParseError& error);
  /// From now on everything but what is about the server itself is answered with 503.
  void drain() { context_.draining = true; }

 private:
  struct Route;
  /// What the path and method of a request lead to.
  struct Target {
    const Route* route = nullptr;
    std::string_view tail;  ///< of the path, still encoded
    std::string allowed;    ///< methods that this path leads somewhere with
  };
  Target find_target(const HttpRequest& request) const;
  ApiStatus answer(const Target& target, Call& call);
  ApiStatus no_target(const Target& target, const HttpRequest& request) const;
  ApiStatus read_body(Call& call) const;

  ApiContext context_;
};

/// Stands before the Api while its model is loaded, so that a server can listen from the start, and
/// says 503. Thread-safe.
class ApiDoor {
 public:
  /// From now on `api`, which must outlive this, answers.
  void open(Api& api) { api_.store(&api, std::memory_order_release); }

  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange);
  HttpResponse bad_request_response(const HttpParseError& error);

 private:
  std::atomic<Api*> api_{nullptr};
};

}  // namespace mixtral
