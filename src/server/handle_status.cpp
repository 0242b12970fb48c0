// /health, /ready, /metrics, /version and /v1/routing.
#include <charconv>
#include <memory>
#include <utility>

#include "server/api_context.h"
#include "server/job.h"

namespace mixtral {
namespace {

void send_health(Exchange& exchange, std::string_view status) {
  exchange.send(json_response({{"object", "health"}, {"status", status}}));
}

// Good once a token was made.
class HealthSink : public AnswerSink {
 public:
  explicit HealthSink(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  void on_prompt(size_t, PromptRead) override {}
  void on_token(size_t, AnswerToken) override {}
  void on_end(size_t, AnswerEnd) override {}
  void finish() override { send_health(*exchange_, "ok"); }
  void fail(const ApiError& error) override { exchange_->send(error_response(error)); }

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace

// "?deep=1": a token through the whole engine, which costs, so it wants a key if there are any.
ApiStatus handle_health(ApiContext& context, Call& call) {
  const std::string deep = query_value(call.http.query, "deep").value_or("0");
  if (deep != "0" && deep != "1")
    return tl::unexpected(bad_request("deep", "deep: expected 0 or 1"));
  if (deep == "0") {
    send_health(*call.exchange, "ok");
    return {};
  }
  MIXTRAL_TRY(check_key(context, call));
  Request request;
  request.prompt_ids = {context.model.tokenizer->bos_id().value_or(0)};
  request.max_tokens = 1;
  request.ignore_end = true;
  request.client = call.client();
  std::vector<Request> requests;
  requests.push_back(std::move(request));
  return Job::start(context, call.exchange, std::move(requests),
                    std::make_unique<HealthSink>(call.exchange));
}

ApiStatus handle_ready(ApiContext& context, Call& call) {
  if (context.draining)
    return tl::unexpected(not_available("draining", "the server ends after its last answers"));
  send_health(*call.exchange, "ready");
  return {};
}

ApiStatus handle_metrics(ApiContext& context, Call& call) {
  const ServedModel& model = context.model;
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body =
      context.metrics.text({model.stats(), model.n_experts, model.id, context.options.version});
  call.exchange->send(std::move(response));
  return {};
}

ApiStatus handle_version(ApiContext& context, Call& call) {
  call.exchange->send(json_response({{"object", "version"}, {"version", context.options.version}}));
  return {};
}

// "?layers=0,31" shows those only.
ApiStatus handle_routing(ApiContext& context, Call& call) {
  const ServedModel& model = context.model;
  const auto answers = context.routing.find(call.tail);
  if (answers == nullptr) {
    ApiError error = bad_request("id",
                                 "no routing of an answer with this id: ask for it with "
                                 "\"routing\": true; it is kept for a while");
    error.status = 404;
    error.type = "not_found_error";
    return tl::unexpected(std::move(error));
  }
  std::vector<size_t> layers;
  const std::string given = query_value(call.http.query, "layers").value_or("");
  const char* at = given.data();
  const char* const end = at + given.size();
  while (at != end) {
    size_t layer = 0;
    const auto parsed = std::from_chars(at, end, layer);
    const bool separated = parsed.ptr == end || (*parsed.ptr == ',' && parsed.ptr + 1 != end);
    if (parsed.ec != std::errc() || !separated || layer >= model.n_layers) {
      return tl::unexpected(bad_request("layers",
                                        "layers: expected numbers from 0 to {}, with "
                                        "commas between them",
                                        model.n_layers - 1));
    }
    layers.push_back(layer);
    at = parsed.ptr == end ? end : parsed.ptr + 1;
  }
  Json body =
      routing_json(*answers, {model.n_layers, model.n_experts, model.n_experts_per_token}, layers);
  body["id"] = call.tail;
  call.exchange->send(json_response(body));
  return {};
}

}  // namespace mixtral
