// What the handlers of all endpoints share.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "server/access.h"
#include "server/api_error.h"
#include "server/client_limits.h"
#include "server/exchange.h"
#include "server/metrics.h"
#include "server/routing_store.h"
#include "server/served_model.h"

namespace mixtral {

struct ApiOptions {
  ApiKeys keys;
  AllowedOrigins origins;
  std::string path_prefix;        ///< "" or "/llm": before every path
  bool open_metrics = false;      ///< /metrics without a key
  bool accept_any_model = false;  ///< whatever name a request asks for
  bool strict = false;            ///< unknown fields are errors
  bool force_bos = false;       ///< completions of ids: a BOS that is not shown, if they have none
  bool page = true;             ///< the web page at /
  bool tool_emulation = false;  ///< tools are described in the prompt, calls read from answers
  double chat_temperature = 0.7;  ///< if the request says nothing
  double completion_temperature = 1.0;
  size_t max_answers = 16;    ///< n
  size_t max_per_client = 0;  ///< requests in progress of one key or address; 0: any number
  std::string version;
  /// Takes one line of the log; called from any thread.
  std::function<void(std::string_view line)> log;
};

struct ApiContext {
  ApiContext(ServedModel served, ApiOptions given)
      : model(std::move(served)), options(std::move(given)), clients(options.max_per_client) {}

  ServedModel model;
  ApiOptions options;
  ClientLimits clients;
  Metrics metrics;
  RoutingStore routing;
  std::atomic<bool> draining = false;
};

/// One request that has passed routing, keys and JSON.
struct Call {
  HttpRequest http;
  Json body = Json::object();
  std::string tail;    ///< the rest of the path where a route has one, decoded
  ModelChoice model;   ///< what the body asks for, once its model is read
  std::string tenant;  ///< whose cached prompts it may share: the key's number, "" without keys
  std::shared_ptr<Exchange> exchange;

  /// Whose turn it takes: the key's, or without keys the address's.
  const std::string& client() const { return tenant.empty() ? http.peer : tenant; }
};

/// 401 unless the request shows one of the keys, if there are any; who it is goes into the call.
ApiStatus check_key(const ApiContext& context, Call& call);

/// Sends or will send an answer, unless it returns an error.
using Handler = ApiStatus (*)(ApiContext& context, Call& call);

ApiStatus handle_models(ApiContext& context, Call& call);
ApiStatus handle_model(ApiContext& context, Call& call);
ApiStatus handle_chat(ApiContext& context, Call& call);
ApiStatus handle_completions(ApiContext& context, Call& call);
ApiStatus handle_fim(ApiContext& context, Call& call);
ApiStatus handle_embeddings(ApiContext& context, Call& call);
ApiStatus handle_tokenize(ApiContext& context, Call& call);
ApiStatus handle_detokenize(ApiContext& context, Call& call);
ApiStatus handle_tokenizer_info(ApiContext& context, Call& call);
ApiStatus handle_apply_template(ApiContext& context, Call& call);
ApiStatus handle_count_tokens(ApiContext& context, Call& call);
ApiStatus handle_health(ApiContext& context, Call& call);
ApiStatus handle_ready(ApiContext& context, Call& call);
ApiStatus handle_metrics(ApiContext& context, Call& call);
ApiStatus handle_version(ApiContext& context, Call& call);
ApiStatus handle_routing(ApiContext& context, Call& call);
ApiStatus handle_page(ApiContext& context, Call& call);

}  // namespace mixtral
