#include "server/access.h"

#include <algorithm>

namespace mixtral {
namespace {

bool equal_in_constant_time(std::string_view shown, std::string_view key) {
  unsigned difference = shown.size() == key.size() ? 0 : 1;
  for (size_t i = 0; i < shown.size(); ++i) {
    difference |= static_cast<unsigned char>(shown[i]) ^
                  static_cast<unsigned char>(key[i < key.size() ? i : 0]);
  }
  return difference == 0;
}

std::string_view bearer_key(const HttpRequest& request) {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string* value = request.header("Authorization");
  if (value == nullptr) return {};
  const std::string_view text = *value;
  const bool is_bearer = equal_ignoring_case(text.substr(0, kBearer.size()), kBearer);
  return is_bearer ? text.substr(kBearer.size()) : std::string_view();
}

std::string_view host_of(std::string_view origin) {
  const size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string_view() : origin.substr(scheme + 3);
}

std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

}  // namespace

std::optional<size_t> ApiKeys::find(const HttpRequest& request) const {
  const std::string* other = request.header("x-api-key");
  std::optional<size_t> found;
  for (const std::string_view shown :  // clients that must send some Bearer send an idle one
       {other != nullptr ? std::string_view(*other) : std::string_view(), bearer_key(request)}) {
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (equal_in_constant_time(shown, keys_[i]) && !shown.empty()) found = i;
    }
  }
  return found;
}

std::vector<std::string> parse_api_keys(std::string_view text) {
  std::vector<std::string> keys;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    constexpr std::string_view kSpaces = " \t\r";
    const size_t begin = line.find_first_not_of(kSpaces);
    if (begin == std::string_view::npos || line[begin] == '#') continue;
    keys.emplace_back(line.substr(begin, line.find_last_not_of(kSpaces) - begin + 1));
  }
  return keys;
}

bool AllowedOrigins::allows(std::string_view origin, std::string_view host) const {
  if (!origins_.empty()) {
    return std::any_of(origins_.begin(), origins_.end(), [&](const std::string& allowed) {
      return allowed == "*" || allowed == origin;
    });
  }
  const std::string_view from = host_of(origin), name = without_port(from);
  return (!from.empty() && from == host) || name == "localhost" || name == "127.0.0.1" ||
         name == "[::1]";
}

void AllowedOrigins::add_headers(const HttpRequest& request, HttpResponse& response) const {
  const std::string* origin = request.header("Origin");
  if (origin == nullptr) return;
  response.headers.push_back({"Vary", "Origin"});
  const std::string* host = request.header("Host");
  if (!allows(*origin, host != nullptr ? std::string_view(*host) : std::string_view())) return;
  response.headers.push_back({"Access-Control-Allow-Origin", *origin});
  response.headers.push_back({"Access-Control-Allow-Credentials", "true"});
  response.headers.push_back({"Access-Control-Expose-Headers", "x-request-id, Retry-After"});
}

}  // namespace mixtral
