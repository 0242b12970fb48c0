// What goes wrong with a request, in the shape that the clients of OpenAI and of Mistral both read.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "core/result.h"
#include "io/json.h"
#include "server/http_message.h"

namespace mixtral {

struct ApiError {
  unsigned status = 400;
  std::string type = "invalid_request_error";
  std::string message;
  std::optional<std::string> param;  ///< the field of the request that is to blame
  std::optional<std::string> code;   ///< for programs: "model_not_found"
  std::vector<HttpHeader> headers;   ///< such as Retry-After
  Json details = Json::object();     ///< further members of the error, such as counts
};

/// A value or an ApiError; MIXTRAL_TRY works with it.
template <class T>
class [[nodiscard]] ApiResult : public tl::expected<T, ApiError> {
 public:
  using tl::expected<T, ApiError>::expected;
};
using ApiStatus = ApiResult<void>;

/// 400 that names the field; `param` may be empty.
template <class... Args>
ApiError bad_request(std::string_view param, fmt::format_string<Args...> format, Args&&... args) {
  ApiError error;
  error.message = fmt::format(format, std::forward<Args>(args)...);
  if (!param.empty()) error.param = std::string(param);
  return error;
}

ApiError unknown_model(std::string_view model);
ApiError prompt_too_long(size_t n_prompt_tokens, size_t context_len);
ApiError queue_full();
/// Of one client.
ApiError too_many_requests();
/// 503: `code` is "loading" or "draining".
ApiError not_available(std::string_view code, std::string_view message);
/// 500 whose repetition would fail again.
ApiError server_failure(std::string_view message);
/// By the code of an error of the engine, whose message names the field.
ApiError from_engine(const Error& error);

/// {"message", "type", "param", "code", …}
Json error_json(const ApiError& error);
/// The error twice: at the top, as Mistral has it, and below "error", as OpenAI has it.
HttpResponse error_response(const ApiError& error);

/// `status` 200. Texts that are not UTF-8 come out with U+FFFD.
HttpResponse json_response(const Json& body);
std::string json_text(const Json& value);

}  // namespace mixtral
