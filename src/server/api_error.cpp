#include "server/api_error.h"

namespace mixtral {

ApiError unknown_model(std::string_view model) {
  ApiError error = bad_request("model", "no model \"{}\" here: GET /v1/models lists them", model);
  error.status = 404;
  error.type = "not_found_error";
  error.code = "model_not_found";
  return error;
}

ApiError prompt_too_long(size_t n_prompt_tokens, size_t context_len) {
  ApiError error = bad_request("",
                               "the prompt has {} tokens, but the context has {} and an answer "
                               "needs at least one of them",
                               n_prompt_tokens, context_len);
  error.code = "context_length_exceeded";
  error.details = {{"n_prompt_tokens", n_prompt_tokens}, {"n_ctx", context_len}};
  return error;
}

ApiError queue_full() {
  ApiError error;
  error.status = 429;
  error.type = "rate_limit_error";
  error.code = "queue_full";
  error.message = "too many requests are waiting; try again";
  error.headers = {{"Retry-After", "1"}};
  return error;
}

ApiError too_many_requests() {
  ApiError error = queue_full();
  error.code = "too_many_requests";
  error.message = "this client has as many requests in progress as it may have; try again";
  return error;
}

ApiError not_available(std::string_view code, std::string_view message) {
  ApiError error;
  error.status = 503;
  error.type = "unavailable_error";
  error.code = std::string(code);
  error.message = std::string(message);
  error.headers = {{"Retry-After", "2"}};
  return error;
}

ApiError server_failure(std::string_view message) {
  ApiError error;
  error.status = 500;
  error.type = "server_error";
  error.message = std::string(message);
  error.headers = {{"x-should-retry", "false"}};
  return error;
}

ApiError from_engine(const Error& error) {
  switch (error.code) {
    case ErrorCode::kBusy: return queue_full();
    case ErrorCode::kBadInput:
    case ErrorCode::kUnsupported:
    case ErrorCode::kNotFound:
    case ErrorCode::kTooLarge: return bad_request("", "{}", error.message);
    case ErrorCode::kIo:
    case ErrorCode::kDevice:
    case ErrorCode::kCancelled: break;
  }
  return server_failure(error.message);
}

Json error_json(const ApiError& error) {
  Json json = {{"message", error.message}, {"type", error.type}};
  json["param"] = error.param ? Json(*error.param) : Json(nullptr);
  json["code"] = error.code ? Json(*error.code) : Json(nullptr);
  json.update(error.details);
  return json;
}

HttpResponse error_response(const ApiError& error) {
  const Json inner = error_json(error);
  Json body = {{"object", "error"}};
  body.update(inner);
  body["error"] = inner;
  HttpResponse response = json_response(body);
  response.status = error.status;
  response.headers = error.headers;
  return response;
}

std::string json_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpResponse json_response(const Json& body) {
  HttpResponse response;
  response.body = json_text(body);
  return response;
}

}  // namespace mixtral
