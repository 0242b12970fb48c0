// /health, /ready, /metrics, /version and /v1/routing.
#include <charconv>

#include "server/api_context.h"

namespace mixtral {

ApiStatus handle_health(ApiContext&, Call& call) {
  call.exchange->send(json_response({{"object", "health"}, {"status", "ok"}}));
  return {};
}

ApiStatus handle_ready(ApiContext& context, Call& call) {
  if (context.draining)
    return tl::unexpected(not_available("draining", "the server ends after its last answers"));
  call.exchange->send(json_response({{"object", "health"}, {"status", "ready"}}));
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
